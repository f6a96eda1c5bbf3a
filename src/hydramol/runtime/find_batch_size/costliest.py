"""The batches of a plan that need the most memory, whatever the epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from hydramol.data.batching import Cut, Plan
from hydramol.data.batching.plan import Shares, offsets_of


@dataclass(frozen=True)
class GivenBatches(Plan):
    """Batches of given items, in the given order, in every epoch.

    Attributes:
        batches: Items of each batch.
        shuffle: Without effect.
    """

    batches: tuple[tuple[int, ...], ...]
    shuffle: bool = False

    def check(self, sizes: np.ndarray, n_views: int) -> None:  # noqa: D102
        pass

    def cut(self, sizes: np.ndarray, seed: int, shares: Shares) -> Cut:  # noqa: D102
        return Cut(np.concatenate(self.batches), offsets_of(np.array([len(items) for items in self.batches])))


def costliest_batches(plan: Any, sizes: np.ndarray, n_views: int = 1) -> list[np.ndarray]:
    """Batches that no batch of the plan, in any epoch, exceeds in memory.

    Where the number of entries is set, that is the batch of the largest items. Where a cost is set, a batch of few
    large items and one of many small ones may both be the worst, as memory has parts that grow with the atoms, their
    pairs, and their triples: the worst in each of these is returned.

    Args:
        plan: With ``batch_size``, or with ``max_cost``, ``power`` and ``max_batch_size``; of one rank.
        sizes: Atoms of each item, ``[items]``.
        n_views: Views of an item, which count towards a batch.

    Returns:
        Items of each such batch, one to three batches.
    """
    ascending = np.argsort(sizes, kind="stable")
    if not hasattr(plan, "max_cost"):
        return [ascending[-max(plan.batch_size // n_views, 1) :]]
    longest, upto = np.unique(sizes, return_counts=True)
    upto = np.cumsum(upto)  # items of at most that size
    most = np.floor(plan.max_cost / (n_views * longest.astype(np.float64) ** plan.power))
    if plan.max_batch_size is not None:
        most = np.minimum(most, plan.max_batch_size // n_views)
    counts = np.maximum(np.minimum(most, upto), 1).astype(np.int64)
    worst = {int(np.argmax(counts * longest.astype(np.float64) ** power)) for power in (1, 2, 3)}
    return [ascending[upto[place] - counts[place] : upto[place]] for place in sorted(worst)]
