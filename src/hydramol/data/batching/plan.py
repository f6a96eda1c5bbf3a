"""What every batch plan shares: binding to sizes and a seed, the split over ranks, several views of an item."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch

from hydramol.core.randomness import fold, seed_of


class PlannedBatch(NamedTuple):
    """One batch of one rank.

    Attributes:
        items: Item indices ``[k]``, int64.
        order: Position of each entry in the epoch, counted over all ranks and views, ``[k]``. One batch's entries over
            all ranks are consecutive, so ``order`` modulo the batch size is what stratified times need.
        view: Number of the augmented view of each entry, ``[k]``.
    """

    items: np.ndarray
    order: np.ndarray
    view: np.ndarray


class Cut(NamedTuple):
    """An epoch: every item once, and where its batches begin.

    Attributes:
        items: Item indices in order of delivery, ``[items]``.
        offsets: Batch ``b`` is ``items[offsets[b]:offsets[b + 1]]``, ``[batches + 1]``.
    """

    items: np.ndarray
    offsets: np.ndarray


@dataclass(frozen=True)
class Shares:
    """How a batch is shared out.

    Attributes:
        world: Ranks.
        n_views: Augmented views of each item.
    """

    world: int = 1
    n_views: int = 1

    @property
    def fewest(self) -> int:
        """Fewest items of a batch that leave no rank empty."""
        return -(-self.world // self.n_views)


class Plan(ABC):
    """Base of the plans, which are frozen dataclasses. A batch means all ranks together.

    Attributes:
        shuffle: Plan every epoch anew; otherwise every epoch serves every item in one fixed order, as validation wants
            it (``dataclasses.replace(plan, shuffle=False)``).
    """

    shuffle: bool

    def bind(self, sizes: np.ndarray, seed: int, n_views: int = 1) -> BoundPlan:
        """Fixes what is planned.

        Args:
            sizes: Rows of each item, ``[items]``; the items of a batch are indices into it.
            seed: The run's seed.
            n_views: Augmented views of each item; they count towards the batch size, so that it stays what it says.

        Raises:
            ValueError: There are no items, or the plan cannot make such batches.
        """
        sizes = np.asarray(sizes)
        if sizes.ndim != 1 or len(sizes) == 0:
            raise ValueError(f"a plan needs the sizes of at least one item, [items]; got shape {sizes.shape}")
        if n_views < 1:
            raise ValueError(f"data.n_views={n_views}: at least 1")
        self.check(sizes, n_views)
        return BoundPlan(self, sizes, seed, n_views)

    @abstractmethod
    def check(self, sizes: np.ndarray, n_views: int) -> None:
        """Raises ValueError where the plan cannot serve these items."""

    @abstractmethod
    def cut(self, sizes: np.ndarray, seed: int, shares: Shares) -> Cut:
        """Plans one epoch.

        Args:
            sizes: Rows of each item, ``[items]``.
            seed: Seed of this epoch.
            shares: Ranks and views.
        """


class EvenPlan(Plan):
    """Base of the plans whose batches all have one size.

    Attributes:
        batch_size: Entries of a batch over all ranks, views included.
        drop_last: Leave out a shorter last batch, where the items are shuffled.
    """

    batch_size: int
    drop_last: bool

    def check(self, sizes: np.ndarray, n_views: int) -> None:  # noqa: D102
        self._length(len(sizes), n_views)

    def even(self, n_items: int, shares: Shares) -> tuple[int, np.ndarray]:
        """Items of a batch, and the offsets of the batches of an epoch."""
        length = self._length(n_items, shares.n_views)
        return length, even_offsets(n_items, length, shares.fewest, self._drops)

    @property
    def _drops(self) -> bool:
        return self.drop_last and self.shuffle

    def _length(self, n_items: int, n_views: int) -> int:
        return items_of_batch(self.batch_size, n_views, n_items, self._drops)


class BoundPlan:
    """A plan for given items: `hydramol.core.protocols.Plan`. Holds one order array and the offsets of one epoch."""

    def __init__(self, plan: Plan, sizes: np.ndarray, seed: int, n_views: int = 1) -> None:
        self.plan = plan
        self.sizes = sizes
        self.seed = seed
        self.n_views = n_views
        self._last: tuple[tuple[int, int], Cut] | None = None

    def epoch(self, epoch: int, world: int = 1) -> Cut:
        """All batches of an epoch, before they are shared out over ranks."""
        if not self.plan.shuffle:
            epoch = 0
        if self._last is None or self._last[0] != (epoch, world):
            if len(self.sizes) * self.n_views < world:
                raise ValueError(f"{len(self.sizes)} items with {self.n_views} views do not reach {world} ranks")
            cut = self.plan.cut(self.sizes, seed_of(self.seed, "batching", epoch), Shares(world, self.n_views))
            self._last = ((epoch, world), cut)
        return self._last[1]

    def count(self, epoch: int, world: int = 1) -> int:
        """Batches of an epoch: exact, and equal on all ranks."""
        return len(self.epoch(epoch, world).offsets) - 1

    def batches(self, epoch: int, rank: int = 0, world: int = 1, start: int = 0) -> Iterator[PlannedBatch]:
        """The batches of one rank: entries ``rank, rank + world, ...`` of every batch.

        Args:
            epoch: Epoch, from 0.
            rank: This rank.
            world: Number of ranks.
            start: Batches already delivered, which are skipped.
        """
        if not 0 <= rank < world:
            raise ValueError(f"rank {rank} of {world}")
        items, offsets = self.epoch(epoch, world)
        views = self.n_views
        for first, last in zip(offsets[start:-1].tolist(), offsets[start + 1 :].tolist(), strict=True):
            order = np.arange(first * views + rank, last * views, world)
            yield PlannedBatch(items[order // views], order, order % views)


def random_words(seed: int, n: int) -> np.ndarray:
    """Random int64 words, ``[n]``, the same with every version of NumPy and torch."""
    return fold(torch.tensor(seed), torch.arange(n)).numpy()


def permutation(seed: int, n: int) -> np.ndarray:
    """A uniformly random order of ``n`` items."""
    return np.argsort(random_words(seed, n), kind="stable")


def mix(cut: Cut, seed: int) -> Cut:
    """Shuffles the batches over the epoch, and the items inside each batch.

    Without the second a batch would be sorted by size, and whatever goes by position in it (stratified times, the
    share of a rank) would depend on the size.
    """
    lengths = np.diff(cut.offsets)
    place = np.empty(len(lengths), dtype=np.int64)
    shuffled = permutation(seed_of(seed, "batches"), len(lengths))
    place[shuffled] = np.arange(len(lengths))
    within = random_words(seed_of(seed, "within"), len(cut.items))
    order = np.lexsort((within, np.repeat(place, lengths)))
    return Cut(cut.items[order], offsets_of(lengths[shuffled]))


def offsets_of(lengths: np.ndarray) -> np.ndarray:
    """Offsets of batches of given lengths: ``[batches + 1]``."""
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(lengths, dtype=np.int64)])


def even_offsets(n_items: int, batch_size: int, fewest: int, drop_last: bool) -> np.ndarray:
    """Offsets of batches of one size; a last one that cannot reach all ranks joins the one before.

    Raises:
        ValueError: No batch of this size reaches all ranks.
    """
    if batch_size < fewest:
        raise ValueError(f"batching.batch_size is less than the number of ranks: {batch_size} items, {fewest} needed")
    offsets = np.append(np.arange(0, n_items, batch_size), n_items)
    short = n_items % batch_size
    if short and drop_last:
        offsets = offsets[:-1]
    elif 0 < short < fewest and len(offsets) > 2:
        offsets = np.delete(offsets, -2)
    return offsets


def items_of_batch(batch_size: int, n_views: int, n_items: int, drop_last: bool) -> int:
    """Distinct items of a batch whose views count towards its size.

    Raises:
        ValueError: The batch size is not a multiple of the views, or no batch would be left.
    """
    if batch_size % n_views:
        raise ValueError(f"batching.batch_size={batch_size} is not a multiple of data.n_views={n_views}")
    if drop_last and n_items < batch_size // n_views:
        raise ValueError(f"batching.drop_last drops everything: {n_items} items, batches of {batch_size // n_views}")
    return batch_size // n_views


def padded_cost(sizes: np.ndarray, cut: Cut, power: float = 3.0) -> float:
    """Cost of an epoch whose batches are padded to their longest item: the sum of len * longest**power."""
    longest = np.maximum.reduceat(sizes[cut.items], cut.offsets[:-1]).astype(np.float64)
    return float((np.diff(cut.offsets) * longest**power).sum())
