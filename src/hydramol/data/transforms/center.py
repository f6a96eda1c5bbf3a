"""Moving each item to the origin."""

from __future__ import annotations

import torch

from hydramol.core.batch import Batch
from hydramol.core.keys import key_of
from hydramol.core.randomness import Randomness
from hydramol.data.transforms.move import moving_fields


class Center:
    """Moves the centre of geometry of every item to the origin; all its points move along.

    The centre is formed in float64: see `hydramol.geometry.centring.centre`.
    """

    random = False

    def __call__(self, batch: Batch, random: Randomness) -> Batch:
        """Moves all points of each item by the mean of its ``pos``."""
        centre = batch.mean(batch["pos"].to(torch.float64))
        moved = {}
        for name, kind in moving_fields(batch).items():
            if kind != "point":
                continue
            value, axis = batch[name], key_of(name).axis
            shift = centre if axis == "graph" else batch.spread(centre, axis)
            points = value.reshape(*shift.shape[:-1], -1, 3).to(torch.float64) - shift[..., None, :]
            if axis != "graph" and batch.layout == "padded":
                points = points * batch.mask(axis)[..., None, None]
            moved[name] = points.to(value.dtype).reshape(value.shape)
        return batch.with_fields(**moved)
