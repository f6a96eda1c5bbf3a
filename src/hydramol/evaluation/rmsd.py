"""RMSD between structures: with the labels of the atoms kept, or with like atoms matched for structures from noise."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from hydramol.core.batch import Batch
from hydramol.core.randomness import Randomness
from hydramol.geometry.kabsch import kabsch, kabsch_rmsd
from hydramol.geometry.rotations import random_rotations

_MAX_ROUNDS = 30  # matching and superposition alternate until nothing changes; a handful of rounds is usual


def rmsd(samples: Batch, reference: Batch) -> Tensor:
    """RMSD of corresponding atoms after superposition by a proper rotation.

    Args:
        samples: Structures, in either layout.
        reference: The same molecules with the same order of atoms.

    Returns:
        ``[items]`` float64, Angstrom.
    """
    samples, reference = samples.to_layout("padded"), reference.to_layout("padded")
    return kabsch_rmsd(samples["pos"], reference["pos"], reference.mask())


def matched_rmsd(samples: Batch, reference: Batch, random: Randomness, n_starts: int = 8) -> Tensor:
    """Smallest RMSD found over rotations, mirror images and exchanges of atoms of one element.

    A structure drawn from pure noise has no memory of which of its like atoms carries which label, nor of its hand, so
    corresponding labels mean nothing. From several starts (the given labels, the atoms' sorted distances to all others,
    random rotations; each with its mirror image) the best assignment and the best superposition are found in turn. The
    result is an upper bound of the true minimum, which more starts bring closer.

    Args:
        samples: Structures, in either layout.
        reference: Molecules of the same composition, item by item.
        random: Where the rotations come from.
        n_starts: Random rotations to start from.

    Returns:
        ``[items]`` float64, Angstrom; nan where a sample is not finite.
    """
    samples, reference = samples.to_layout("padded"), reference.to_layout("padded")
    rotations = torch.stack([random_rotations(reference, random.at(draw)) for draw in range(n_starts)], 1)
    out = []
    for item, size in enumerate(reference.sizes["atom"].tolist()):
        z = [batch["z"][item, :size].cpu().numpy() for batch in (samples, reference)]
        pos = [batch["pos"][item, :size].double().cpu().numpy() for batch in (samples, reference)]
        if not np.array_equal(np.sort(z[0]), np.sort(z[1])):
            raise ValueError(f"item {item}: the two structures differ in composition")
        out.append(_matched(z[0], pos[0], z[1], pos[1], rotations[item].cpu().numpy()))
    return torch.tensor(out, dtype=torch.float64)


def _matched(za: np.ndarray, a: np.ndarray, zb: np.ndarray, b: np.ndarray, rotations: np.ndarray) -> float:
    """Matched RMSD of one pair of structures: elements ``[n]``, positions ``[n, 3]``, rotations ``[k, 3, 3]``."""
    if not np.isfinite(a).all():
        return float("nan")
    # Every start has the atoms of each element of both structures in one block.
    order_a, order_b = np.argsort(za, kind="stable"), np.argsort(zb, kind="stable")
    elements, a, b = za[order_a], a[order_a] - a.mean(0), b[order_b] - b.mean(0)
    limits = np.flatnonzero(np.diff(elements, prepend=-1, append=-1))
    blocks = [slice(low, high) for low, high in pairwise(limits)]

    both = np.stack([a, -a])  # a point reflection makes the mirror image
    profiles = _assign(_distance_profiles(a), _distance_profiles(b), blocks)
    turned = (both[:, None] @ rotations.swapaxes(-1, -2)).reshape(-1, *a.shape)
    matches = [np.arange(len(a)), profiles, np.arange(len(a)), profiles, *(_assign(x, b, blocks) for x in turned)]
    hands = [both[0], both[0], both[1], both[1], *np.repeat(both, len(rotations), 0)]

    structures, match = torch.from_numpy(np.stack(hands)), np.stack(matches)
    mask = torch.ones(structures.shape[:2], dtype=torch.bool)
    target = torch.from_numpy(b)
    for _ in range(_MAX_ROUNDS):
        fitted = target[match]
        motion = kabsch(structures, fitted, mask)
        moved = (structures @ motion.rotation.transpose(1, 2) + motion.translation[:, None]).numpy()
        better = np.stack([_assign(x, b, blocks) for x in moved])
        if np.array_equal(better, match):
            break
        match = better
    return float(kabsch_rmsd(structures, target[match], mask).min())


def _assign(a: np.ndarray, b: np.ndarray, blocks: list[slice]) -> np.ndarray:
    """For each row of a the row of b of the same block, with the least sum of squared distances."""
    match = np.empty(len(a), dtype=np.int64)
    for block in blocks:
        cost = ((a[block, None] - b[None, block]) ** 2).sum(-1)
        match[block] = block.start + linear_sum_assignment(cost)[1]
    return match


def _distance_profiles(x: np.ndarray) -> np.ndarray:
    """Sorted distances of each atom to all others: the same for every orientation and either hand."""
    return np.sort(np.linalg.norm(x[:, None] - x[None], axis=-1), axis=-1)
