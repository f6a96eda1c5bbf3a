"""Best superposition of two structures with the same atoms (Kabsch, Acta Cryst. A32, 922, 1976; A34, 827, 1978)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Superposition(NamedTuple):
    """The rigid motion ``x @ rotation.T + translation`` that brings one structure onto another."""

    rotation: Tensor
    translation: Tensor


def best_rotation(covariance: Tensor, allow_reflection: bool = False) -> Tensor:
    """The rotation R that brings a onto b most closely, from the sum of ``b a^T`` over atoms of centred structures.

    Where it is not unique (linear or coinciding atoms, mirror symmetry) it is one of the best.

    Args:
        covariance: ``[items, 3, 3]``; matrices that are not finite give some rotation.
        allow_reflection: Also allow mirror images.

    Returns:
        ``[items, 3, 3]``, without a gradient.
    """
    with torch.no_grad():
        # LAPACK refuses a batch with a single non-finite matrix; a broken structure must only spoil its own result.
        finite = covariance.isfinite().all(-1).all(-1)[:, None, None]
        u, _, vh = torch.linalg.svd(torch.where(finite, covariance, 0))
        if not allow_reflection:
            # Turn the direction of the smallest singular value, the cheapest one, where u vh is a mirror.
            sign = torch.linalg.det(u @ vh).round()
            u = torch.cat([u[..., :2], u[..., 2:] * sign[:, None, None]], dim=-1)
        rotation: Tensor = u @ vh
        return rotation


def kabsch(a: Tensor, b: Tensor, mask: Tensor, allow_reflection: bool = False) -> Superposition:
    """Finds the rigid motion of a that lies closest to b in the least-squares sense.

    No gradient flows through the motion. The RMSD needs none: at its minimum it does not change, to first order, with
    the motion; so `kabsch_rmsd` has exact first derivatives and none of the divisions by differences of singular
    values that differentiating the decomposition would bring.

    Args:
        a: ``[items, atoms, 3]``, structures to move.
        b: ``[items, atoms, 3]``, where to.
        mask: ``[items, atoms]``, True on real atoms.
        allow_reflection: Let the mirror image of a be used where it fits better; by default only proper rotations.

    Returns:
        Rotation ``[items, 3, 3]`` and translation ``[items, 3]``, float64.
    """
    with torch.no_grad():
        weight = mask.to(torch.float64)[..., None]
        count = weight.sum(1).clamp(min=1)
        a, b = (torch.where(mask[..., None], x, 0).to(torch.float64) for x in (a, b))
        mean_a, mean_b = a.sum(1) / count, b.sum(1) / count
        covariance = ((b - mean_b[:, None]) * weight).transpose(1, 2) @ ((a - mean_a[:, None]) * weight)
        rotation = best_rotation(covariance, allow_reflection)
        return Superposition(rotation, mean_b - (rotation @ mean_a[..., None])[..., 0])


def kabsch_align(a: Tensor, b: Tensor, mask: Tensor, allow_reflection: bool = False) -> Tensor:
    """Moves a onto b as `kabsch` finds: ``[items, atoms, 3]`` float64, padded rows 0."""
    motion = kabsch(a, b, mask, allow_reflection)
    moved = a.to(torch.float64) @ motion.rotation.transpose(1, 2) + motion.translation[:, None]
    return torch.where(mask[..., None], moved, 0)


def kabsch_rmsd(a: Tensor, b: Tensor, mask: Tensor, allow_reflection: bool = False) -> Tensor:
    """Root mean square distance of corresponding atoms after superposition.

    Args:
        a: ``[items, atoms, 3]``, Angstrom.
        b: ``[items, atoms, 3]``, Angstrom.
        mask: ``[items, atoms]``, True on real atoms.
        allow_reflection: Also try mirror images.

    Returns:
        ``[items]`` float64, Angstrom; nan where a structure is not finite. The gradient of an exact match is 0.
    """
    moved = kabsch_align(a, b, mask, allow_reflection)
    square = torch.where(mask[..., None], moved - b.to(torch.float64), 0).square().sum((1, 2))
    mean = square / mask.sum(1).clamp(min=1)
    # The root has no derivative at 0, and 0 * inf would turn the gradient of an exact match into nan.
    matched = mean == 0
    return torch.where(matched, 0, torch.where(matched, 1, mean).sqrt())
