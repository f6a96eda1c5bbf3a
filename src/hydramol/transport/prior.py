"""The noise end of a transport."""

from __future__ import annotations

import torch
from torch import Tensor

from hydramol.core.batch import Batch
from hydramol.core.randomness import Randomness
from hydramol.geometry.centring import centre


class CentredGaussian:
    """Standard normal rows with the mean of each item removed.

    This is N(0, I) on the 3(n - 1) dimensional space of structures centred at the origin (Köhler, Klein & Noé,
    ICML 2020), where a diffusion of molecules takes place.
    """

    def draw(self, batch: Batch, random: Randomness) -> Tensor:
        """Noise for every row, in the layout of the batch, float64; padded rows are 0."""
        return centre(random.normal_rows(batch, 3), batch)

    def project(self, rows: Tensor, batch: Batch) -> Tensor:
        """Brings rows into the space of the prior: removes the mean of each item."""
        return centre(rows, batch)

    def degrees_of_freedom(self, batch: Batch) -> Tensor:
        """Dimensions of each item's space, ``[items]`` int64."""
        return 3 * (batch.sizes["atom"] - 1).to(torch.int64)
