"""How far a denoiser is from turning with the molecule: rounding for equivariant nets, for others what they learnt."""

from __future__ import annotations

import torch
from torch import Tensor

from hydramol.core.batch import Batch
from hydramol.core.protocols import Denoiser
from hydramol.core.randomness import Randomness
from hydramol.geometry.rotations import random_rotations, rotate_rows


@torch.no_grad()
def equivariance_error(
    denoise: Denoiser, x: Tensor, t: Tensor, condition: Batch, random: Randomness, n_rotations: int = 4
) -> Tensor:
    """Relative deviation ``|R f(x) - f(R x)| / |f(x)|`` of each item, averaged over random rotations.

    Args:
        denoise: The model ``f``.
        x: Positions, laid out as ``condition``, ``[rows..., 3]``, Angstrom.
        t: Time of each item ``[items]``.
        condition: The batch that ``x`` belongs to.
        random: Where the rotations come from; each item has its own.
        n_rotations: Rotations of each item.

    Returns:
        ``[items]`` float64; independent random outputs would give about 1.4, and 0 is that of an item whose output is
        always zero.
    """
    plain = denoise(x, t, condition).x.double()
    size = condition.sum(plain.square()).sum(-1).sqrt()
    error = torch.zeros_like(size)
    for draw in range(n_rotations):
        rotation = random_rotations(condition, random.at(draw))
        turned = denoise(rotate_rows(x, rotation, condition), t, condition).x.double()
        deviation = rotate_rows(plain, rotation, condition) - turned
        error += condition.sum(deviation.square()).sum(-1).sqrt()
    # What answers nothing, as of a single atom, turns with anything.
    return torch.where(size > 0, error / (n_rotations * size.clamp(min=torch.finfo(size.dtype).tiny)), error)
