"""Batch plans: every item once, ranks that agree, budgets kept, no bias."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydramol.data.batching import BoundPlan, BucketPlan, CostPlan, Plan, PlannedBatch, RandomPlan, padded_cost

PLANS: list[Plan] = [
    RandomPlan(8),
    RandomPlan(8, shuffle=False),
    BucketPlan(8, window=3),
    BucketPlan(8, window=3, shuffle=False),
    CostPlan(4000.0, window_items=20),
    CostPlan(4000.0, window_items=20, max_batch_size=8),
    CostPlan(4000.0, shuffle=False),
]
plans = st.sampled_from(PLANS)
sizes_of_items = st.lists(st.integers(1, 9), min_size=8, max_size=90).map(np.array)


def entries(bound: BoundPlan, epoch: int, rank: int = 0, world: int = 1, start: int = 0) -> list[PlannedBatch]:
    return list(bound.batches(epoch, rank, world, start))


@given(plan=plans, sizes=sizes_of_items, epoch=st.integers(0, 3), views=st.sampled_from([1, 2]))
@settings(deadline=None, max_examples=80)
def test_every_view_of_every_item_once(plan: Plan, sizes: np.ndarray, epoch: int, views: int) -> None:
    batches = entries(plan.bind(sizes, 1, n_views=views), epoch)
    seen = [(item, view) for batch in batches for item, view in zip(batch.items, batch.view, strict=True)]
    assert sorted(seen) == [(item, view) for item in range(len(sizes)) for view in range(views)]
    np.testing.assert_array_equal(np.concatenate([batch.order for batch in batches]), np.arange(len(sizes) * views))


@given(plan=plans, sizes=sizes_of_items, world=st.integers(1, 4), views=st.sampled_from([1, 2, 4]))
@settings(deadline=None, max_examples=80)
def test_ranks_share_every_batch(plan: Plan, sizes: np.ndarray, world: int, views: int) -> None:
    bound = plan.bind(sizes, 3, n_views=views)
    cut = bound.epoch(2, world)
    ranks = [entries(plan.bind(sizes, 3, n_views=views), 2, rank, world) for rank in range(world)]
    assert {len(rank) for rank in ranks} == {bound.count(2, world)} == {len(cut.offsets) - 1}
    for number, parts in enumerate(zip(*ranks, strict=True)):
        order = np.concatenate([part.order for part in parts])
        np.testing.assert_array_equal(
            np.sort(order), np.arange(cut.offsets[number] * views, cut.offsets[number + 1] * views)
        )
        lengths = [len(part.items) for part in parts]
        assert min(lengths) >= 1
        assert max(lengths) - min(lengths) <= 1
        for part in parts:
            np.testing.assert_array_equal(part.items, cut.items[part.order // views])


@given(plan=plans, sizes=sizes_of_items, start=st.integers(0, 12))
@settings(deadline=None, max_examples=60)
def test_start_skips_exactly(plan: Plan, sizes: np.ndarray, start: int) -> None:
    whole = entries(plan.bind(sizes, 5), 4)
    resumed = entries(plan.bind(sizes.copy(), 5), 4, start=start)
    assert len(resumed) == max(len(whole) - start, 0)
    for one, other in zip(whole[start:], resumed, strict=True):
        np.testing.assert_array_equal(one.items, other.items)
        np.testing.assert_array_equal(one.order, other.order)


@given(plan=plans, sizes=sizes_of_items)
@settings(deadline=None, max_examples=30)
def test_epochs_are_shuffled_anew_only_where_asked(plan: Plan, sizes: np.ndarray) -> None:
    bound = plan.bind(sizes, 7)
    first, second = (np.concatenate([batch.items for batch in entries(bound, epoch)]) for epoch in (0, 1))
    assert np.array_equal(first, second) == (not plan.shuffle)


@given(
    sizes=sizes_of_items,
    max_cost=st.floats(729.0, 9000.0),
    world=st.integers(1, 3),
    views=st.integers(1, 2),
    shuffle=st.booleans(),
)
@settings(deadline=None, max_examples=80)
def test_cost_is_within_the_budget(sizes: np.ndarray, max_cost: float, world: int, views: int, shuffle: bool) -> None:
    bound = CostPlan(max_cost * views, window_items=25, shuffle=shuffle).bind(sizes, 0, n_views=views)
    shares = zip(*(entries(bound, 0, rank, world) for rank in range(world)), strict=True)
    for parts in shares:
        n_items = len(np.unique(np.concatenate([part.items for part in parts])))
        if n_items >= 2 * -(-world // views):  # fewer may have had to join to reach all ranks
            assert max(len(part.items) * sizes[part.items].max() ** 3 for part in parts) <= max_cost * views
    assert bound.count(0) <= len(sizes)


def test_cost_plan_fills_its_budget() -> None:
    rng = np.random.default_rng(0)
    sizes = rng.integers(8, 29, 4000)
    cut = CostPlan(200_000.0).bind(sizes, 0).epoch(0)
    useful = float((sizes.astype(float) ** 3).sum())
    assert useful / padded_cost(sizes, cut) > 0.9
    assert len(cut.offsets) - 1 < 1.15 * useful / 200_000


def test_buckets_pad_far_less_than_random_batches() -> None:
    rng = np.random.default_rng(0)
    sizes = np.clip(rng.normal(18, 3, 8000).round().astype(int), 3, 29)
    bucket, random = (plan.bind(sizes, 0).epoch(0) for plan in (BucketPlan(32, window=32), RandomPlan(32)))
    assert padded_cost(sizes, random) > 1.8 * padded_cost(sizes, bucket)


@pytest.mark.parametrize("plan", [RandomPlan(4), BucketPlan(4, window=2), BucketPlan(4, window=2, drop_last=True)])
def test_no_item_prefers_a_position(plan: Plan) -> None:
    """Each of 22 items of very different size lands on each position equally often (chi squared)."""
    sizes = np.arange(1, 23)
    bound = plan.bind(sizes, 11)
    n_epochs = 3000
    counts = np.zeros((22, 22))
    for epoch in range(n_epochs):
        items = bound.epoch(epoch).items
        counts[items, np.arange(len(items))] += 1
    n_positions = int(counts[0].astype(bool).sum())
    assert n_positions == (20 if getattr(plan, "drop_last", False) else 22)
    counts = counts[:, :n_positions]
    expected = n_epochs / 22
    chi2 = ((counts - expected) ** 2 / expected).sum()
    freedom = 22 * n_positions
    assert abs(chi2 - freedom) < 6 * np.sqrt(2 * freedom)


def test_a_batch_is_not_sorted_by_size() -> None:
    """Position inside a batch, which decides stratified times and ranks, says nothing of the size."""
    sizes = np.arange(4000)
    cut = BucketPlan(8, window=50).bind(sizes, 0).epoch(0)
    ranks = sizes[cut.items].reshape(-1, 8).argsort(1).argsort(1)
    np.testing.assert_allclose(ranks.mean(0), 3.5, atol=6 * np.sqrt(5.25 / 500))


def test_evaluation_plan_is_fixed_and_complete() -> None:
    sizes = np.array([5, 3, 9, 3, 4])
    cut = replace(BucketPlan(2, drop_last=True), shuffle=False).bind(sizes, 0).epoch(9)
    np.testing.assert_array_equal(cut.items, [1, 3, 4, 0, 2])
    np.testing.assert_array_equal(cut.offsets, [0, 2, 4, 5])


def test_views_keep_the_effective_batch() -> None:
    bound = RandomPlan(12).bind(np.full(30, 5), 0, n_views=3)
    batches = entries(bound, 0)
    assert [len(batch.items) for batch in batches] == [12] * 7 + [6]
    assert len(np.unique(batches[0].items)) == 4


def test_a_last_batch_that_misses_a_rank_joins_the_one_before() -> None:
    for plan in (RandomPlan(8), BucketPlan(8)):
        bound = plan.bind(np.full(18, 4), 0)
        assert (bound.count(0, 2), bound.count(0, 4)) == (3, 2)
        assert [len(batch.items) for batch in entries(bound, 0, 3, 4)] == [2, 2]


def test_wrong_values_are_one_clear_line() -> None:
    sizes = np.array([3, 9, 4])
    with pytest.raises(ValueError, match=r"batch_size=8 is not a multiple of data\.n_views=3"):
        BucketPlan(8).bind(sizes, 0, n_views=3)
    with pytest.raises(ValueError, match=r"max_cost=500 is less than the largest item needs"):
        CostPlan(500).bind(sizes, 0)
    with pytest.raises(ValueError, match="do not reach 4 ranks"):
        RandomPlan(8).bind(sizes, 0).count(0, 4)
    with pytest.raises(ValueError, match="less than the number of ranks"):
        RandomPlan(2).bind(sizes, 0).count(0, 3)
    with pytest.raises(ValueError, match="drop_last drops everything"):
        RandomPlan(8, drop_last=True).bind(sizes, 0)
    with pytest.raises(ValueError, match="at least one item"):
        RandomPlan(8).bind(np.zeros(0, dtype=int), 0)
    with pytest.raises(ValueError, match="batch_size=0"):
        RandomPlan(0)
