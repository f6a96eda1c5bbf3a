"""Keyed randomness: uniform, independent, and a function of the item alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from hydramol.core.batch import Batch
from hydramol.core.randomness import Randomness, fold, normal, seed_of, uniform

N = 20_000


def items(numbers: list[int] | range, sizes: list[int] | None = None) -> Batch:
    lengths = sizes or [1] * len(numbers)
    return Batch(
        {"pos": torch.zeros(sum(lengths), 3), "item": torch.tensor(list(numbers))}, {"atom": torch.tensor(lengths)}
    )


def splitmix(word: int) -> int:
    """The finaliser of splitmix64 (Steele, Lea & Flood 2014), in Python's own integers."""
    word = (word ^ (word >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
    word = (word ^ (word >> 27)) * 0x94D049BB133111EB % 2**64
    return word ^ (word >> 31)


@pytest.mark.parametrize(("key", "data"), [(0, 0), (1, 5), (-1, 2**62), (-(2**63), -3), (2**63 - 1, 2**63 - 1)])
def test_fold_is_splitmix(key: int, data: int) -> None:
    golden = 0x9E3779B97F4A7C15
    expected = splitmix((key + splitmix((data + golden) % 2**64) + golden) % 2**64)
    assert int(fold(torch.tensor(key), torch.tensor(data))) % 2**64 == expected
    assert int(fold(torch.tensor(key), data)) % 2**64 == expected


def test_seeds_tell_types_and_parts_apart() -> None:
    seeds = [seed_of(42, "noise"), seed_of("42", "noise"), seed_of(42, "noise", 0), seed_of(4, "2noise")]
    assert len(set(seeds)) == len(seeds)
    assert all(0 <= seed < 2**63 for seed in seeds)
    assert seed_of(42, "noise") == 1839733115170889747  # another number would change every resumed run


@pytest.mark.parametrize("along", ["item", "column", "epoch", "draw", "view"])
def test_uniform_in_every_direction(along: str) -> None:
    random = Randomness(1, "time")
    if along == "item":
        found = random.uniform(items(range(N)))[:, 0]
    elif along == "column":
        found = random.uniform(items([7]), N)[0]
    elif along == "view":
        batch = items([7] * N).with_fields(view=torch.arange(N))
        found = random.uniform(batch)[:, 0]
    else:
        batch = items([7])
        found = torch.cat([Randomness(1, "time", **{along: number}).uniform(batch)[0] for number in range(N // 10)])
    values = found.numpy()
    assert stats.kstest(values, "uniform").pvalue > 1e-4
    assert abs(np.corrcoef(values[1:], values[:-1])[0, 1]) < 5 / np.sqrt(len(values))
    assert len(np.unique(values)) == len(values)


def test_normal_numbers_are_normal_and_uncorrelated() -> None:
    found = Randomness(3, "noise").normal(items(range(N)), 4).numpy()
    assert stats.kstest(found.ravel(), "norm").pvalue > 1e-4
    np.testing.assert_allclose(np.cov(found.T), np.eye(4), atol=6 / np.sqrt(N))


def test_low_bits_and_high_bits_are_fair() -> None:
    words = fold(torch.tensor(seed_of(1)), torch.arange(N)).numpy().view(np.uint64)
    bits = (words[:, None] >> np.arange(64, dtype=np.uint64)) & np.uint64(1)
    assert np.abs(bits.mean(0) - 0.5).max() < 6 * 0.5 / np.sqrt(N)


def test_streams_are_independent() -> None:
    batch, root = items(range(N)), Randomness(1, "a")
    found = [
        source.uniform(batch)[:, 0].numpy()
        for source in (root, root.for_stream("b"), root.at(1), Randomness(2, "a"), Randomness(1, "a", epoch=1))
    ]
    correlation = np.corrcoef(found) - np.eye(len(found))
    assert np.abs(correlation).max() < 6 / np.sqrt(N)


@given(data=st.data(), sizes=st.lists(st.integers(1, 5), min_size=2, max_size=6))
@settings(deadline=None, max_examples=40)
def test_an_item_has_its_numbers_in_any_batch_and_layout(data: st.DataObject, sizes: list[int]) -> None:
    random = Randomness(5, "noise", epoch=2)
    flat = items([11 * number for number in range(len(sizes))], sizes)
    whole = flat.with_fields(noise=random.normal_rows(flat))
    chosen = data.draw(st.lists(st.integers(0, len(sizes) - 1), min_size=1, max_size=6))
    part = flat.select(torch.tensor(chosen))
    assert torch.equal(random.normal_rows(part), whole.select(torch.tensor(chosen))["noise"])
    assert torch.equal(random.uniform(part, 3), random.uniform(flat, 3)[chosen])
    padded = flat.to_layout("padded", max(sizes) + 2)
    noise = random.normal_rows(padded)
    assert torch.equal(noise[padded.mask()], whole["noise"])
    assert not noise[~padded.mask()].any()


def test_views_differ_and_view_zero_is_the_default() -> None:
    random, batch = Randomness(5, "rotate"), items([4, 4])
    plain = random.uniform(batch, 3)
    assert torch.equal(plain[0], plain[1])
    views = random.uniform(batch.with_fields(view=torch.tensor([0, 1])), 3)
    assert torch.equal(views[0], plain[0])
    assert not torch.isclose(views[1], plain[0]).any()


def test_global_generators_are_left_alone() -> None:
    torch.manual_seed(0)
    state = torch.get_rng_state()
    one = Randomness(0, "x").normal_rows(items(range(3)))
    torch.manual_seed(1)
    assert torch.equal(one, Randomness(0, "x").normal_rows(items(range(3))))
    torch.manual_seed(0)
    assert torch.equal(torch.get_rng_state(), state)


def test_ranges() -> None:
    keys = fold(torch.tensor(3), torch.arange(N))
    assert 0.0 <= float(uniform(keys, 3).min()) < float(uniform(keys, 3).max()) < 1.0
    assert bool(torch.isfinite(normal(keys, 3)).all())
