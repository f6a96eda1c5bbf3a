"""Removing the centre of geometry."""

from __future__ import annotations

import torch
from torch import Tensor

from hydramol.core.batch import Batch


def centre(x: Tensor, batch: Batch, axis: str = "atom") -> Tensor:
    """Subtracts the mean of each item's rows.

    The mean is taken in float64: in float32 a centre would drift over the thousand steps of a sampler.

    Args:
        x: ``[rows..., d]`` in the layout of the batch.
        batch: The items the rows belong to.
        axis: Named axis of the rows.

    Returns:
        Rows of the same shape and dtype with zero mean in every item; padded rows are 0.
    """
    double = x.to(torch.float64)
    centred = double - batch.spread(batch.mean(double, axis), axis)
    if batch.layout == "padded":
        centred = centred * batch.mask(axis)[..., None]
    return centred.to(x.dtype)
