"""Batches of random items."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hydramol.data.batching.plan import Cut, EvenPlan, Shares, permutation


@dataclass(frozen=True)
class RandomPlan(EvenPlan):
    """Batches of random items.

    Attributes:
        batch_size: Entries of a batch over all ranks, views included.
        drop_last: Leave out a shorter last batch, where the items are shuffled.
        shuffle: A new order every epoch; otherwise the order of the data set.
    """

    batch_size: int
    drop_last: bool = False
    shuffle: bool = True

    def __post_init__(self) -> None:
        """Checks the values."""
        if self.batch_size < 1:
            raise ValueError(f"batching.batch_size={self.batch_size}: at least 1")

    def cut(self, sizes: np.ndarray, seed: int, shares: Shares) -> Cut:  # noqa: D102
        n_items = len(sizes)
        items = permutation(seed, n_items) if self.shuffle else np.arange(n_items)
        _, offsets = self.even(n_items, shares)
        return Cut(items[: offsets[-1]], offsets)
