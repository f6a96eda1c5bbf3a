"""A scalar of every atom, or of every molecule as the sum or mean over its atoms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from torch import Tensor, nn

from hydramol.core.batch import Batch
from hydramol.core.protocols import Features
from hydramol.nets.dense import mlp


class Atomwise(nn.Module):
    """An MLP on the scalar features of each atom: the energy head of force fields, the time head of MoreRed.

    Args:
        n_in: Scalar features of the backbone.
        n_out: Values predicted.
        n_layers: Dense layers; 2 for energies, 3 for MoreRed's time.
        n_hidden: Hidden width or widths; None halves it from layer to layer.
        aggregation: "sum" (extensive: energies), "avg" (intensive: one time a molecule), or None (one value an atom).
    """

    def __init__(
        self,
        n_in: int,
        n_out: int = 1,
        n_layers: int = 2,
        n_hidden: int | Sequence[int] | None = None,
        aggregation: Literal["sum", "avg"] | None = "sum",
    ) -> None:
        super().__init__()
        if aggregation not in (None, "sum", "avg"):
            raise ValueError(f"aggregation={aggregation!r}: sum, avg or null")
        self.aggregation = aggregation
        self.n_out = n_out
        self.outnet = mlp(n_in, n_out, n_layers, n_hidden)

    def forward(self, features: Features, batch: Batch) -> Tensor:
        """Predicts.

        Args:
            features: Of a backbone; only ``scalar`` is read.
            batch: The batch they belong to, in either layout.

        Returns:
            ``[rows..., n_out]`` without aggregation, else ``[items, n_out]``; the last axis is dropped if n_out is 1.
        """
        y: Tensor = self.outnet(features.scalar)
        if self.aggregation is not None:
            y = batch.sum(y) if self.aggregation == "sum" else batch.mean(y)
        return y.squeeze(-1) if self.n_out == 1 else y
