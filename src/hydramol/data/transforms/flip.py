"""Reflecting each item at random."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hydramol.core.batch import Batch
from hydramol.core.randomness import Randomness
from hydramol.data.transforms.move import moving_fields, turn
from hydramol.geometry.rotations import random_reflections, reflection_matrix


class Flip:
    """Reflects items through a plane by the origin (a Householder reflection): the mirror image of a molecule.

    Args:
        probability: Chance of each item to be reflected.
        normal: Normal of one plane for all items, ``[3]``; None draws a plane of uniform direction for each.
    """

    random = True

    def __init__(self, probability: float = 0.5, normal: Tensor | Sequence[float] | None = None) -> None:
        if not 0.0 <= probability <= 1.0:
            raise ValueError(f"transform.sample.flip.probability={probability}: a number from 0 to 1")
        self.probability = probability
        self.normal = None if normal is None else torch.as_tensor(normal, dtype=torch.float64)
        if self.normal is not None and (self.normal.shape != (3,) or not self.normal.any()):
            raise ValueError("transform.sample.flip.normal: three numbers, not all 0")

    def __call__(self, batch: Batch, random: Randomness) -> Batch:
        """Reflects points and vectors together."""
        if "frame" in moving_fields(batch).values():
            raise ValueError("transform.sample.flip: the mirror image of a frame is not a rotation; set it to null")
        if self.normal is None:
            return turn(batch, random_reflections(batch, random, self.probability))
        mirror = reflection_matrix(self.normal.to(batch.device))
        chosen = random.for_stream("coin").uniform(batch)[..., None] < self.probability
        return turn(batch, torch.where(chosen, mirror, torch.eye(3, dtype=mirror.dtype, device=batch.device)))
