"""Rotations and reflections of space: quaternions, matrices, uniform draws, and turning the rows of a batch.

Quaternions are ``(w, x, y, z)`` with the real part first; matrices act on column vectors from the left.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hydramol.core.batch import Batch
from hydramol.core.randomness import Randomness


def quaternion_to_matrix(quaternion: Tensor) -> Tensor:
    """Rotation matrix of a quaternion of any non-zero length.

    Args:
        quaternion: ``[..., 4]``, real part first.

    Returns:
        ``[..., 3, 3]``, orthogonal with determinant 1.
    """
    w, x, y, z = _unit(quaternion).unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z),
        2 * (x * y - w * z),
        2 * (x * z + w * y),
        2 * (x * y + w * z),
        1 - 2 * (x * x + z * z),
        2 * (y * z - w * x),
        2 * (x * z - w * y),
        2 * (y * z + w * x),
        1 - 2 * (x * x + y * y),
    ]
    return torch.stack(rows, dim=-1).reshape(*quaternion.shape[:-1], 3, 3)


def matrix_to_quaternion(matrix: Tensor) -> Tensor:
    """Unit quaternion of a rotation matrix, with a real part that is not negative.

    Each of the four components can be found from the diagonal and the others divided by it; the largest one is taken,
    because dividing by a small one loses digits (Shepperd, J. Guid. Control 1, 223, 1978).

    Args:
        matrix: ``[..., 3, 3]``, proper rotations.

    Returns:
        ``[..., 4]``, real part first.
    """
    m00, m01, m02, m10, m11, m12, m20, m21, m22 = matrix.flatten(-2).unbind(-1)
    # Row i is 4 q_i times the quaternion.
    candidates = torch.stack(
        [
            torch.stack([1 + m00 + m11 + m22, m21 - m12, m02 - m20, m10 - m01], -1),
            torch.stack([m21 - m12, 1 + m00 - m11 - m22, m01 + m10, m02 + m20], -1),
            torch.stack([m02 - m20, m01 + m10, 1 - m00 + m11 - m22, m12 + m21], -1),
            torch.stack([m10 - m01, m02 + m20, m12 + m21, 1 - m00 - m11 + m22], -1),
        ],
        dim=-2,
    )
    largest = candidates.diagonal(dim1=-2, dim2=-1).argmax(-1)
    chosen = candidates.gather(-2, largest[..., None, None].expand(*largest.shape, 1, 4)).squeeze(-2)
    quaternion = _unit(chosen)
    return torch.where(quaternion[..., :1] < 0, -quaternion, quaternion)


def reflection_matrix(normal: Tensor) -> Tensor:
    """Reflection through the plane with a given normal (Householder): ``[..., 3] -> [..., 3, 3]``."""
    unit = _unit(normal)
    return torch.eye(3, dtype=normal.dtype, device=normal.device) - 2 * unit[..., :, None] * unit[..., None, :]


def random_rotations(batch: Batch, random: Randomness) -> Tensor:
    """A rotation of each item, uniform over SO(3): ``[items, 3, 3]`` float64.

    A normalised vector of four standard normals is uniform on the sphere of unit quaternions, which covers SO(3) twice
    and evenly (Shoemake, Graphics Gems III, 1992).
    """
    return quaternion_to_matrix(random.normal(batch, 4))


def random_reflections(batch: Batch, random: Randomness, probability: float = 0.5) -> Tensor:
    """For each item a reflection through a plane of uniform direction, or the identity: ``[items, 3, 3]`` float64.

    Args:
        batch: The items.
        random: Where the numbers come from.
        probability: Chance of a reflection.
    """
    if not 0.0 <= probability <= 1.0:
        raise ValueError(f"probability={probability}: a number from 0 to 1")
    reflections = reflection_matrix(random.for_stream("plane").normal(batch, 3))
    reflected = random.for_stream("coin").uniform(batch)[..., None] < probability
    return torch.where(reflected, reflections, torch.eye(3, dtype=reflections.dtype, device=reflections.device))


def rotate_rows(rows: Tensor, matrices: Tensor, batch: Batch, axis: str = "atom") -> Tensor:
    """Applies the matrix of each item to its rows.

    Args:
        rows: ``[rows..., 3]`` in the layout of the batch, vectors or points about the origin.
        matrices: ``[items, 3, 3]``.
        batch: The items.
        axis: Named axis of the rows.

    Returns:
        Rows of the same shape and dtype; the product is formed in the higher of the two precisions.
    """
    dtype = torch.promote_types(rows.dtype, matrices.dtype)
    if batch.layout == "padded":
        turned = rows.to(dtype) @ matrices.to(dtype).transpose(-1, -2)
    else:
        turned = torch.einsum("rij,rj->ri", batch.spread(matrices, axis).to(dtype), rows.to(dtype))
    return turned.to(rows.dtype)


def _unit(vectors: Tensor) -> Tensor:
    length: Tensor = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    return vectors / length
