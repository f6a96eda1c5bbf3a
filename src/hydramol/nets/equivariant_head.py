"""From scalar and vector features to one vector an atom: the noise head of equivariant backbones."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hydramol.core.batch import Batch
from hydramol.core.protocols import Features
from hydramol.geometry.norms import safe_norm
from hydramol.nets.dense import Dense, layer_widths
from hydramol.nets.time_input import TimeInput


class GatedEquivariantBlock(nn.Module):
    """Mixes scalars with lengths of vectors, and gates vectors by scalars (Schuett et al. 2021, figure 3).

    Args:
        n_scalar_in: Scalar input features.
        n_vector_in: Vector input features.
        n_out: Scalar and vector output features.
        n_hidden: Hidden width of the scalar net.
        activate: Whether SiLU follows on the scalars.
    """

    def __init__(self, n_scalar_in: int, n_vector_in: int, n_out: int, n_hidden: int, activate: bool) -> None:
        super().__init__()
        self.activate = activate
        self.mix_vectors = Dense(n_vector_in, 2 * n_out, bias=False)
        self.scalar_net = nn.Sequential(Dense(n_scalar_in + n_out, n_hidden, activate=True), Dense(n_hidden, 2 * n_out))

    def forward(self, scalar: Tensor, vector: Tensor) -> tuple[Tensor, Tensor]:
        """``[N, n_scalar_in], [N, 3, n_vector_in] -> [N, n_out], [N, 3, n_out]``."""
        mixed_v, mixed_w = self.mix_vectors(vector).chunk(2, dim=-1)
        context = torch.cat([scalar, safe_norm(mixed_v, dim=-2)], dim=-1)
        scalar, gate = self.scalar_net(context).chunk(2, dim=-1)
        return F.silu(scalar) if self.activate else scalar, gate[..., None, :] * mixed_w


class EquivariantHead(nn.Module):
    """Gated equivariant blocks that end in one vector an atom; the time-aware noise head of MoreRed.

    With ``time``, its channels are appended to the scalars before the first block, as MoreRed does with t itself
    (Kahouli et al. 2024, Mach. Learn.: Sci. Technol. 5, 045038).

    Args:
        n_in: Features of the backbone, scalar and vector.
        time: How time is embedded here, or None.
        n_layers: Blocks.
        n_hidden: Width or widths between the blocks; None halves it from block to block.
    """

    def __init__(
        self,
        n_in: int,
        time: TimeInput | None = None,
        n_layers: int = 3,
        n_hidden: int | Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        self.time = time
        widths = layer_widths(n_in, 1, n_layers, n_hidden)
        n_time = 0 if time is None else time.n_channels
        self.outnet = nn.ModuleList(
            GatedEquivariantBlock(
                n_scalar_in=widths[i] + (n_time if i == 0 else 0),
                n_vector_in=widths[i],
                n_out=widths[i + 1],
                n_hidden=widths[i],
                activate=i < n_layers - 1,
            )
            for i in range(n_layers)
        )

    def forward(self, features: Features, batch: Batch, time: Tensor | None = None) -> Tensor:
        """Predicts a vector of every atom, which turns with the molecule.

        Args:
            features: Of an equivariant backbone, flat.
            batch: The batch they belong to.
            time: Normalised time of each molecule ``[items]``, or of each atom ``[N]`` (predicted by a time head).

        Returns:
            ``[N, 3]``.

        Raises:
            ValueError: The features have no vectors, or this head needs a time and got none.
        """
        scalar, vector, _ = features
        if vector is None:
            raise ValueError("an equivariant head needs vector features; this backbone gives none")
        if self.time is not None:
            if time is None:
                raise ValueError("this head takes the time (time.where=head) but was called without one")
            channels = self.time(time)
            # As many times as atoms: either a time an atom, or molecules of one atom each, which is the same.
            if channels.shape[:-1] != scalar.shape[:-1]:
                channels = batch.spread(channels)
            scalar = torch.cat([scalar, channels.to(scalar.dtype)], dim=-1)
        for block in self.outnet:
            scalar, vector = block(scalar, vector)
        return vector.squeeze(-1)
