"""Batches of a given cost, for nets whose memory grows with a power of the size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hydramol.core.randomness import seed_of
from hydramol.data.batching.plan import Cut, Plan, Shares, mix, offsets_of, permutation


@dataclass(frozen=True)
class CostPlan(Plan):
    """Batches that cost a rank at most ``max_cost = entries * longest**power``: few large items or many small ones.

    Items are shuffled, cut into windows, sorted by size in each, and cut into batches as long as the budget allows;
    batches are shuffled over the epoch. Only where too few items remain to reach all ranks may a batch exceed the
    budget, by one entry a rank.

    Attributes:
        max_cost: Budget of a batch on one rank, after padding.
        power: 3 for triangular attention (EdgeTransformer), 2 for plain attention, 1 for rows.
        window_items: Items of a window.
        max_batch_size: Most entries of a batch over all ranks, views included; None = as the budget allows.
        shuffle: A new order every epoch; otherwise all items sorted by size.
    """

    max_cost: float
    power: float = 3.0
    window_items: int = 2048
    max_batch_size: int | None = None
    shuffle: bool = True

    def __post_init__(self) -> None:
        """Checks the values."""
        for name in ("max_cost", "power", "window_items"):
            if getattr(self, name) <= 0:
                raise ValueError(f"batching.{name}={getattr(self, name)} must be positive")
        if self.max_batch_size is not None and self.max_batch_size < 1:
            raise ValueError(f"batching.max_batch_size={self.max_batch_size}: at least 1, or null")

    def check(self, sizes: np.ndarray, n_views: int) -> None:  # noqa: D102
        self._check_shares(sizes, Shares())  # what is known without the number of ranks

    def _check_shares(self, sizes: np.ndarray, shares: Shares) -> None:
        """Raises ValueError where the smallest batch that reaches all ranks is over the budget."""
        largest = int(sizes.max())
        entries = shares.fewest * shares.n_views
        cost = -(-entries // shares.world) * largest**self.power
        if cost > self.max_cost:
            raise ValueError(
                f"batching.max_cost={self.max_cost:g} is less than the largest item needs: "
                f"{shares.n_views} views of {largest}**{self.power:g} on {shares.world} ranks cost {cost:g}"
            )
        if self.max_batch_size is not None and self.max_batch_size < entries:
            raise ValueError(
                f"batching.max_batch_size={self.max_batch_size} is less than {entries}, "
                f"the smallest batch of {shares.n_views} views on {shares.world} ranks"
            )

    def cut(self, sizes: np.ndarray, seed: int, shares: Shares) -> Cut:  # noqa: D102
        self._check_shares(sizes, shares)
        if not self.shuffle:
            items = np.argsort(sizes, kind="stable")
            return Cut(items, offsets_of(np.array(self._lengths(sizes[items], shares))))

        items = permutation(seed_of(seed, "items"), len(sizes))
        # A last window too small to reach all ranks joins the one before.
        n_windows = max(1, (len(items) - shares.fewest) // self.window_items + 1)
        window = np.minimum(np.arange(len(items)) // self.window_items, n_windows - 1)
        items = items[np.lexsort((sizes[items], window))]
        lengths: list[int] = []
        for part in np.split(items, np.arange(1, n_windows) * self.window_items):
            lengths += self._lengths(sizes[part], shares)
        return mix(Cut(items, offsets_of(np.array(lengths))), seed)

    def _lengths(self, sizes: np.ndarray, shares: Shares) -> list[int]:
        """Cuts items sorted by size, each batch as long as it may be.

        Args:
            sizes: ``[items]``, ascending.
            shares: Ranks and views.
        """
        cost = sizes.astype(np.float64) ** self.power
        cap = len(sizes) if self.max_batch_size is None else self.max_batch_size // shares.n_views
        lengths: list[int] = []
        first = 0
        while first < len(sizes):
            # No batch is longer than its smallest item would allow, nor shorter than all ranks need.
            most = int(self.max_cost // max(cost[first], 1.0)) * shares.world // shares.n_views
            most = min(most, cap, len(sizes) - first)
            entries = np.ceil(np.arange(1, most + 1) * shares.n_views / shares.world)  # of the fullest rank
            fits = entries * cost[first : first + most] <= self.max_cost
            lengths.append(max(int(fits.sum()), min(shares.fewest, len(sizes) - first)))
            first += lengths[-1]
        return _reach_all_ranks(lengths, shares.fewest)


def _reach_all_ranks(lengths: list[int], fewest: int) -> list[int]:
    """Lengthens a last batch that cannot reach all ranks, from the one before or by joining it."""
    if len(lengths) > 1 and lengths[-1] < fewest:
        both = lengths[-2] + lengths[-1]
        tail = [both - fewest, fewest] if both >= 2 * fewest else [both]
        lengths = lengths[:-2] + tail
    return lengths
