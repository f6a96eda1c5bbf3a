"""Which structures of a shard are wanted: minima, or displaced structures with their minima."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np
import torch

from hydramol.core.errors import DataError
from hydramol.core.randomness import fold, seed_of
from hydramol.data.qm7x.names import MINIMUM

Pair = Literal["random", "smallest", "median", "largest", "all"]
"""Which displaced structures of a minimum are taken: one at random, one by its RMSD from the minimum, or all."""


class Chosen(NamedTuple):
    """Rows of a shard: each wanted structure, and its minimum (which is itself for minima)."""

    frames: np.ndarray
    minima: np.ndarray


def minima(name: np.ndarray, duplicates: set[tuple[int, int, int]]) -> Chosen:
    """Minima that are not duplicates, ascending in molecule, isomer, conformer.

    Args:
        name: Molecule, isomer, conformer, frame, ``[frames, 4]``.
        duplicates: Molecule, isomer, conformer of the minima to leave out.
    """
    kept = _sorted(name, duplicates)
    kept = kept[name[kept, 3] == MINIMUM]
    return Chosen(kept, kept)


def pairs(
    name: np.ndarray,
    rmsd: np.ndarray,
    duplicates: set[tuple[int, int, int]],
    pair: Pair = "random",
    seed: int = 0,
    where: str = "qm7x",
) -> Chosen:
    """Displaced structures and their minima; minima without displaced structures, and duplicates, are left out.

    Args:
        name: Molecule, isomer, conformer, frame, ``[frames, 4]``.
        rmsd: From the minimum, ``[frames]``.
        duplicates: Molecule, isomer, conformer of the minima to leave out, with all that is displaced from them.
        pair: Which displaced structures of a minimum are taken. The median of an even number is the lower one; of equal
            ones it is that with the lower number.
        seed: Seed of random pairs; which one a minimum gets depends on this and the minimum's name alone.
        where: Name of the data, for errors.

    Raises:
        DataError: Displaced structures have no minimum, or ``pair`` is unknown.
    """
    if pair not in get_args(Pair):
        raise DataError(f"unknown pair {pair!r}", where="data.pair", fix=f"one of {', '.join(get_args(Pair))}")
    kept = _sorted(name, duplicates)
    new = np.any(np.diff(name[kept, :3], axis=0, prepend=-1), axis=1)  # where a conformer begins
    first = np.flatnonzero(new)
    is_minimum = name[kept, 3] == MINIMUM
    if not is_minimum[first].all():
        m, i, c, _ = name[kept[first[~is_minimum[first]][0]]].tolist()
        raise DataError(f"Geom-m{m}-i{i}-c{c} has displaced structures and no minimum", where=where)
    counts = np.diff(np.append(first, len(kept))) - 1  # displaced structures of each minimum
    first, counts = first[counts > 0], counts[counts > 0]
    if pair == "all":
        displaced = kept[~is_minimum]
        return Chosen(displaced, kept[np.repeat(first, counts)])
    if pair == "random":
        place = 1 + _draw(name[kept[first], :3], counts, seed)
        return Chosen(kept[first + place], kept[first])
    # Within each conformer by RMSD, the minimum in front whatever its own number says.
    group = np.cumsum(new)
    by_rmsd = kept[np.lexsort((name[kept, 3], rmsd[kept], ~is_minimum, group))]
    place = {"smallest": np.ones_like(counts), "median": (counts + 1) // 2, "largest": counts}[pair]
    return Chosen(by_rmsd[first + place], kept[first])


def _sorted(name: np.ndarray, duplicates: set[tuple[int, int, int]]) -> np.ndarray:
    """Rows that are not duplicates, ascending in their names: the minimum comes first in its conformer."""
    order = np.lexsort(name.T[::-1])
    if not duplicates:
        return order
    keys, unwanted = (rows @ np.array([1 << 40, 1 << 20, 1]) for rows in (name[:, :3], np.array(sorted(duplicates))))
    return order[~np.isin(keys[order], unwanted)]


def _draw(names: np.ndarray, counts: np.ndarray, seed: int) -> np.ndarray:
    """A number below each count, from the seed and the minimum's name."""
    keys = torch.full((len(names),), seed_of(seed, "pair"))
    for column in torch.from_numpy(np.ascontiguousarray(names.T)):
        keys = fold(keys, column)
    return np.asarray((keys & (2**62 - 1)).numpy() % counts)
