"""Test helpers for use outside this repository too.

Each check takes ``predict(batch, time) -> Tensor``, raises AssertionError with the size of the difference, and returns
that size where it is small enough.
"""

from hydramol.testing.equivariance import (
    check_batch_independence,
    check_permutation_equivariance,
    check_rotation_equivariance,
    orthogonal_matrix,
    rotate,
)
from hydramol.testing.padding import check_padding

__all__ = [
    "check_batch_independence",
    "check_padding",
    "check_permutation_equivariance",
    "check_rotation_equivariance",
    "orthogonal_matrix",
    "rotate",
]
