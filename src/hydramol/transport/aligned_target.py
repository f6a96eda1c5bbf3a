"""A target turned onto the prediction, so that a rotated answer is no wrong answer."""

from __future__ import annotations

from torch import Tensor

from hydramol.core.batch import Batch
from hydramol.geometry.centring import centre
from hydramol.geometry.kabsch import best_rotation
from hydramol.geometry.rotations import rotate_rows


def turn_onto(clean: Tensor, predicted: Tensor, batch: Batch) -> Tensor:
    """Turns each structure by the proper rotation about its centre that brings it closest to another.

    The squared distance between the result and ``predicted`` is the Kabsch-aligned error. No gradient flows through
    the rotation, and none is missing: at the best rotation the error does not change, to first order, with it.

    Args:
        clean: True structures, centred, ``[rows..., 3]`` in the layout of the batch, Angstrom.
        predicted: Predicted structures, same shape.
        batch: The items.

    Returns:
        ``[rows..., 3]`` in the dtype of ``clean``; padded rows are 0.
    """
    predicted, clean = (rows.detach() for rows in (centre(predicted, batch), clean))
    covariance = batch.sum(predicted[..., :, None].double() * clean[..., None, :].double())
    return rotate_rows(clean, best_rotation(covariance), batch)
