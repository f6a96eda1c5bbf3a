"""Batches of items of like size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hydramol.core.randomness import seed_of
from hydramol.data.batching.plan import (
    Cut,
    EvenPlan,
    Shares,
    mix,
    permutation,
)


@dataclass(frozen=True)
class BucketPlan(EvenPlan):
    """Batches of items of like size, so that little is padded.

    Items are shuffled and cut into windows; each window is sorted by size (equal sizes stay in random order) and cut
    into batches; batches are shuffled over the epoch. Every item is equally likely at every position of the epoch, and
    items of a short last batch are a random choice, not the largest.

    Attributes:
        batch_size: Entries of a batch over all ranks, views included.
        window: Batches of a window: more pads less, fewer mixes better.
        drop_last: Leave out a shorter last batch, where the items are shuffled.
        shuffle: A new order every epoch; otherwise all items sorted by size.
    """

    batch_size: int
    window: int = 64
    drop_last: bool = False
    shuffle: bool = True

    def __post_init__(self) -> None:
        """Checks the values."""
        if self.batch_size < 1:
            raise ValueError(f"batching.batch_size={self.batch_size}: at least 1")
        if self.window < 1:
            raise ValueError(f"batching.window={self.window}: at least 1")

    def cut(self, sizes: np.ndarray, seed: int, shares: Shares) -> Cut:  # noqa: D102
        n_items = len(sizes)
        length, offsets = self.even(n_items, shares)
        if not self.shuffle:
            return Cut(np.argsort(sizes, kind="stable")[: offsets[-1]], offsets)

        items = permutation(seed_of(seed, "items"), n_items)
        n_full = n_items // length
        full, rest = items[: n_full * length], items[n_full * length :]
        window = np.arange(len(full)) // (self.window * length)
        full = full[np.lexsort((sizes[full], window))]
        mixed = mix(Cut(full, np.arange(n_full + 1) * length), seed)
        return Cut(np.concatenate([mixed.items, rest])[: offsets[-1]], offsets)
