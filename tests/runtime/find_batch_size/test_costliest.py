"""No batch of a plan needs more than the costliest ones that are tried."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydramol.data.batching import BucketPlan, CostPlan, Plan, RandomPlan
from hydramol.runtime.find_batch_size.costliest import GivenBatches, costliest_batches

SIZES = st.lists(st.integers(1, 12), min_size=1, max_size=60).map(np.array)


def cost(sizes: np.ndarray, power: int) -> int:
    """Memory that grows with a power of the longest item, padded."""
    return len(sizes) * int(sizes.max()) ** power


@settings(deadline=None)
@given(
    sizes=SIZES,
    n_views=st.integers(1, 3),
    items=st.integers(1, 12),
    kind=st.sampled_from(["bucket", "random", "cost", "cost_capped"]),
    seed=st.integers(0, 100),
)
def test_no_batch_is_costlier(sizes: np.ndarray, n_views: int, items: int, kind: str, seed: int) -> None:
    entries = items * n_views
    plan: Plan = {
        "bucket": lambda: BucketPlan(entries, window=2),
        "random": lambda: RandomPlan(entries),
        "cost": lambda: CostPlan(entries * float(sizes.max()) ** 2, power=2, window_items=20),
        "cost_capped": lambda: CostPlan(entries * float(sizes.max()) ** 3, max_batch_size=2 * n_views),
    }[kind]()
    worst = costliest_batches(plan, sizes, n_views)
    bound = plan.bind(sizes, seed, n_views)
    for epoch in range(2):
        for batch in bound.batches(epoch):
            for power in (1, 2, 3):
                assert cost(sizes[batch.items], power) <= max(cost(sizes[one], power) * n_views for one in worst)


@given(sizes=SIZES, items=st.integers(1, 80))
def test_the_largest_items_are_tried(sizes: np.ndarray, items: int) -> None:
    (batch,) = costliest_batches(BucketPlan(items), sizes)
    assert sorted(sizes[batch]) == sorted(sizes)[-items:]
    assert len(set(batch.tolist())) == len(batch) == min(items, len(sizes))


def test_a_budget_has_several_worst_batches() -> None:
    sizes = np.array([2] * 100 + [10] * 5)
    few, many = sorted(costliest_batches(CostPlan(2000.0), sizes), key=len)
    assert sizes[few].tolist() == [10, 10]
    assert len(many) == 100
    assert set(sizes[many]) == {2}


@pytest.mark.parametrize("n_views", [1, 2])
def test_given_batches_come_as_they_are(n_views: int) -> None:
    plan = GivenBatches(((4, 2), (4, 2), (1,))).bind(np.ones(5, dtype=int), 0, n_views)
    assert plan.count(3) == 3
    found = [batch.items.tolist() for batch in plan.batches(3)]
    assert found == [[4] * n_views + [2] * n_views] * 2 + [[1] * n_views]
