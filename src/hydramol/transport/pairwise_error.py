r"""The error of a structure told by its interatomic distances alone.

.. math::
    E = \frac 3 n \sum_{i<j} \left( \hat d_{ij} - d_{ij} \right)^2

Following the energy losses of Kaba et al. (NeurIPS 2025, arXiv 2511.02087), here with springs of equal strength between
all atoms. The factor 3 / n makes it weigh as the squared error of positions: a small displacement with variance v in
each coordinate changes a distance by its part along one direction, whose variance is 2 v, and there are n (n - 1) / 2
distances. So E is 3 (n - 1) v on average, which is the squared error about the centre. For errors of any size

.. math::
    E \le \frac 3 n \sum_{i<j} | \delta_i - \delta_j |^2 \le 3 \sum_i | \delta_i |^2 ,

so it never exceeds three times the squared error, aligned or not.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hydramol.core.batch import Batch
from hydramol.geometry.norms import safe_norm


def pairwise_error(predicted: Tensor, clean: Tensor, batch: Batch) -> Tensor:
    """Squared error of all distances, scaled to weigh as that of positions; see the module.

    It is blind to rotation and translation, and to mirror images as well. Gradients are finite where atoms coincide (a
    pair at the same place pulls in no direction) and 0 for a single atom.

    Args:
        predicted: ``[rows..., 3]`` in the layout of the batch.
        clean: ``[rows..., 3]``, same unit.
        batch: The items.

    Returns:
        ``[items]`` in that unit squared.
    """
    sizes = batch.sizes["atom"]
    predicted, clean = (rows if batch.layout == "padded" else batch.like(rows, "padded") for rows in (predicted, clean))
    real = torch.arange(predicted.shape[1], device=sizes.device) < sizes[:, None]
    differences = _distances(predicted, real) - _distances(clean, real)
    pairs = real[:, :, None] & real[:, None]
    # Every pair stands there twice.
    return (differences * pairs).square().sum((1, 2)) * 1.5 / sizes.clamp(min=1)


def _distances(rows: Tensor, real: Tensor) -> Tensor:
    """All interatomic distances, ``[items, atoms, atoms]``; whatever padded rows hold, they are finite."""
    rows = torch.where(real[..., None], rows, 0)
    return safe_norm(rows[:, :, None] - rows[:, None])
