"""Lengths that can be differentiated any number of times, also where a vector is zero."""

from __future__ import annotations

import torch
from torch import Tensor


def safe_norm(vectors: Tensor, dim: int = -1, keepdim: bool = False) -> Tensor:
    """Euclidean length whose derivatives of every order are 0, not NaN, at the zero vector.

    ``torch.linalg.norm`` has a zero gradient there but NaN in the second derivative, which force training needs.

    Args:
        vectors: ``[..., 3, ...]``, any unit.
        dim: The axis of the components.
        keepdim: Keep that axis with length 1.

    Returns:
        The lengths, in the unit of the vectors.
    """
    square = vectors.square().sum(dim, keepdim=keepdim)
    is_zero = square == 0
    # The inner choice keeps sqrt away from 0: its infinite derivative there, times the 0 of the outer one, is NaN.
    return torch.where(is_zero, 0.0, torch.where(is_zero, 1.0, square).sqrt())


def split_length(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Length and direction of vectors; the direction of a zero vector is zero.

    Args:
        vectors: ``[..., 3]``, any unit.

    Returns:
        Lengths ``[..., 1]`` in that unit and unit vectors ``[..., 3]``.
    """
    length = safe_norm(vectors, keepdim=True)
    return length, vectors / torch.where(length == 0, 1.0, length)
