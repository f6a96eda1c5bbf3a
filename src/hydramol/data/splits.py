"""Splitting items into training, validation and test."""

from __future__ import annotations

import numpy as np
import torch

from hydramol.core.errors import DataError
from hydramol.core.randomness import fold, seed_of

Size = int | float | None
"""Items of a split: a count (int), a fraction (float), or None for the rest."""


def random_splits(
    n_items: int, train_size: Size, valid_size: Size, test_size: Size, seed: int, where: str = "data"
) -> dict[str, np.ndarray]:
    """Disjoint random splits; the same on every machine for the same arguments.

    Args:
        n_items: Items to split.
        train_size: Items of the training split.
        valid_size: Items of the validation split.
        test_size: Items of the test split.
        seed: Seed of the split; not that of the run, so that runs with different seeds share their test items.
        where: Name of the data, for errors.

    Returns:
        Ascending item indices of "train", "val" and "test".

    Raises:
        DataError: A split would be empty, or there are too few items.
    """
    sizes = {"train_size": train_size, "valid_size": valid_size, "test_size": test_size}
    counts = _counts(n_items, sizes, where)
    order = np.argsort(fold(torch.tensor(seed_of(seed, "split")), torch.arange(n_items)).numpy(), kind="stable")
    bounds = np.cumsum(counts)
    parts = np.split(order[: bounds[-1]], bounds[:-1])
    return {name: np.sort(part) for name, part in zip(("train", "val", "test"), parts, strict=True)}


def _counts(n_items: int, sizes: dict[str, Size], where: str) -> list[int]:
    counts: dict[str, int | None] = {}
    for name, size in sizes.items():
        if isinstance(size, float) and not 0.0 < size < 1.0:
            raise DataError(f"{name}={size} is not a fraction between 0 and 1", where=where, fix="counts are integers")
        # The small amount keeps 0.1 * 30 = 3.0000000000000004 and 0.29 * 100 = 28.999999999999996 at 3 and 29.
        counts[name] = int(size * n_items + 1e-6) if isinstance(size, float) else size
    rest = [name for name, count in counts.items() if count is None]
    if len(rest) > 1:
        raise DataError(f"{' and '.join(rest)} cannot both be the rest", where=where, fix="null for one of them")
    given = sum(count for count in counts.values() if count is not None)
    if given > n_items:
        asked = ", ".join(f"{name}={size}" for name, size in sizes.items())
        raise DataError(f"the splits ask for {given} of {n_items} items: {asked}", where=where)
    found = [n_items - given if count is None else count for count in counts.values()]
    for name, count in zip(counts, found, strict=True):
        if count < 1:
            raise DataError(f"{name}={sizes[name]} leaves no item of {n_items}: the split is empty", where=where)
    return found
