"""What an atom is before it has neighbours."""

from __future__ import annotations

from torch import Tensor, nn

from hydramol.core.batch import Batch
from hydramol.nets.edge_transformer.electron_configuration import electron_table


class NodeEmbedding(nn.Module):
    """Embeds element, electron configuration, total charge and spin multiplicity.

    Charge and multiplicity enter as numbers through a linear map without bias, so that a neutral singlet (also the
    value where a batch does not say) adds nothing and rare charges share what common ones taught. All weights start
    random: embeddings that start at zero would make all elements equal.

    Args:
        width: Features.
        max_z: Largest atomic number.
    """

    electrons: Tensor

    def __init__(self, width: int, max_z: int = 100) -> None:
        super().__init__()
        self.element = nn.Embedding(max_z + 1, width)
        self.register_buffer("electrons", electron_table(max_z), persistent=False)
        self.configuration = nn.Linear(self.electrons.shape[1], width)
        self.charge = nn.Linear(1, width, bias=False)
        self.multiplicity = nn.Linear(1, width, bias=False)

    def forward(self, batch: Batch) -> Tensor:
        """Embeds ``batch["z"]``, and ``"charge"`` (e) and ``"multiplicity"`` where present.

        Returns:
            ``[rows..., width]`` in the batch's layout.
        """
        z = batch["z"]
        nodes = self.element(z) + self.configuration(self.electrons[z])
        for name, embed, usual in (("charge", self.charge, 0), ("multiplicity", self.multiplicity, 1)):
            if name in batch:
                value = (batch[name] - usual).to(self.element.weight.dtype)
                nodes = nodes + batch.spread(embed(value[:, None]))
        return nodes
