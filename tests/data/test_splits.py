"""Splits: disjoint, complete where asked, the same everywhere."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hydramol.core.errors import DataError
from hydramol.data.splits import random_splits


@given(n=st.integers(10, 200), fraction=st.floats(0.11, 0.7), seed=st.integers(0, 5))
@settings(deadline=None, max_examples=40)
def test_disjoint_and_complete(n: int, fraction: float, seed: int) -> None:
    splits = random_splits(n, None, fraction, 2, seed)
    joined = np.concatenate(list(splits.values()))
    np.testing.assert_array_equal(np.sort(joined), np.arange(n))
    assert len(splits["val"]) == int(fraction * n + 1e-6)
    assert len(splits["test"]) == 2


def test_counts_take_a_part() -> None:
    splits = random_splits(100, 50, 20, 10, seed=0)
    assert {name: len(part) for name, part in splits.items()} == {"train": 50, "val": 20, "test": 10}


def test_random_but_reproducible_without_the_global_generators() -> None:
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)
    one = random_splits(50, 30, 10, None, seed=1)
    torch.manual_seed(9)
    again, other = random_splits(50, 30, 10, None, seed=1), random_splits(50, 30, 10, None, seed=2)
    for name in one:
        np.testing.assert_array_equal(one[name], again[name])
        assert not np.array_equal(one[name], other[name])
    assert not np.array_equal(one["train"], np.arange(30))


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((60, 30, 20), "ask for 110 of 100 items"),
        ((None, None, 5), "train_size and valid_size cannot both be the rest"),
        ((80, 20, None), "test_size=None leaves no item of 100: the split is empty"),
        ((0.5, 0.001, None), "valid_size=0.001 leaves no item"),
        ((1.5, 10, 10), "train_size=1.5 is not a fraction"),
        ((50, -1, 10), "valid_size=-1 leaves no item"),
    ],
)
def test_wrong_sizes_are_one_clear_line(sizes: tuple[int | float | None, ...], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        random_splits(100, *sizes, seed=0, where="qm9")  # type: ignore[arg-type]
    assert caught.value.line.startswith("qm9: ")
    assert "\n" not in caught.value.line
