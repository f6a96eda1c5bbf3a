"""From pairs back to atoms."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class PairPooling(nn.Module):
    """Atom features from the mean over all pairs an atom begins and all it ends.

    The mean runs over real atoms only and does not grow with the molecule. (Summed over padding, as published, the
    features of a molecule depend on what it shares a batch with.)

    Args:
        width: Features of pairs and atoms.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, width)
        # The maps that follow are linear, so they act on the means, once an atom instead of once a pair.
        self.begins = nn.Linear(width, width)
        self.ends = nn.Linear(width, width, bias=False)
        self.node = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, pairs: Tensor, mask: Tensor | None = None) -> Tensor:
        """Pools pairs.

        Args:
            pairs: ``[items, atoms, atoms, width]``.
            mask: True on real atoms, ``[items, atoms]``; None where all are.

        Returns:
            ``[items, atoms, width]``; rows of padded atoms mean nothing.
        """
        hidden = functional.gelu(self.hidden(pairs))
        if mask is None:
            begins, ends = hidden.mean(2), hidden.mean(1)
        else:
            share = mask / mask.sum(1, keepdim=True).clamp(min=1)
            share = share.to(hidden.dtype)[:, None]
            begins = (share[:, None] @ hidden)[:, :, 0]  # over the second atom
            ends = (share @ hidden.flatten(2)).view_as(begins)  # over the first atom
        return self.node(self.begins(begins) + self.ends(ends))
