"""Batches of random items."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hydramol.data.batching.plan import Cut, Plan, Shares, even_offsets, items_of_batch, permutation


@dataclass(frozen=True)
class RandomPlan(Plan):
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

    @property
    def _drops(self) -> bool:
        return self.drop_last and self.shuffle

    def check(self, sizes: np.ndarray, n_views: int) -> None:  # noqa: D102
        items_of_batch(self.batch_size, n_views, len(sizes), self._drops)

    def cut(self, sizes: np.ndarray, seed: int, shares: Shares) -> Cut:  # noqa: D102
        n_items = len(sizes)
        length = items_of_batch(self.batch_size, shares.n_views, n_items, self._drops)
        items = permutation(seed, n_items) if self.shuffle else np.arange(n_items)
        offsets = even_offsets(n_items, length, shares.fewest, self._drops)
        return Cut(items[: offsets[-1]], offsets)
