"""Rotating each item at random."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hydramol.core.batch import Batch
from hydramol.core.randomness import Randomness
from hydramol.data.transforms.move import turn
from hydramol.geometry.rotations import random_rotations


class Rotate:
    """Rotates each item about the origin: a rotation of its own, uniform over SO(3), or a given one.

    Args:
        matrix: One rotation for all items, ``[3, 3]``; None draws them.
    """

    random = True

    def __init__(self, matrix: Tensor | Sequence[Sequence[float]] | None = None) -> None:
        self.matrix = None if matrix is None else torch.as_tensor(matrix, dtype=torch.float64)
        if self.matrix is not None:
            if self.matrix.shape != (3, 3):
                raise ValueError(f"transform.sample.rotate.matrix has shape {tuple(self.matrix.shape)}, not [3, 3]")
            off = (self.matrix @ self.matrix.T - torch.eye(3, dtype=torch.float64)).abs().max()
            if off > 1e-6 or torch.linalg.det(self.matrix) < 0:
                raise ValueError("transform.sample.rotate.matrix is not a rotation")

    def __call__(self, batch: Batch, random: Randomness) -> Batch:
        """Rotates points, vectors and frames together."""
        if self.matrix is None:
            return turn(batch, random_rotations(batch, random))
        return turn(batch, self.matrix.to(batch.device).expand(len(batch), 3, 3))
