"""Distances and angles by element, and distances between distributions."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hydramol.core.batch import Batch
from hydramol.evaluation.distributions import bond_angles, compare, jensen_shannon, pair_distances, wasserstein_1
from tests.conftest import random_molecules


def water(angle: float, length: float = 0.96) -> Batch:
    x = length * np.array([[0, 0, 0], [1, 0, 0], [math.cos(math.radians(angle)), math.sin(math.radians(angle)), 0]])
    return Batch({"z": torch.tensor([8, 1, 1]), "pos": torch.from_numpy(x)}, {"atom": torch.tensor([3])})


def test_water_by_hand():
    distances, angles = pair_distances(water(104.5)), bond_angles(water(104.5))
    assert {name: len(values) for name, values in distances.items()} == {"O-H": 2, "H-H": 1}
    assert distances["O-H"] == pytest.approx([0.96, 0.96])
    assert distances["H-H"] == pytest.approx([2 * 0.96 * math.sin(math.radians(104.5 / 2))])
    assert angles["H-O-H"] == pytest.approx([104.5])
    assert list(angles) == ["H-O-H"]


def test_names_begin_with_carbon_and_end_with_hydrogen():
    names = set(pair_distances(random_molecules([30]), max_distance=99.0))
    assert {"C-H", "C-O", "N-O", "N-H", "C-C", "O-H"} <= names
    assert not {"H-C", "O-C", "O-N"} & names


@given(st.integers(0, 1000))
@settings(max_examples=10, deadline=None)
def test_every_pair_and_angle_is_counted_once(seed):
    batch = random_molecules([6, 1, 11], seed=seed, dtype=torch.float64)
    found = pair_distances(batch, max_distance=1e9)
    assert sum(map(len, found.values())) == 15 + 0 + 55
    from hydramol.evaluation.stability import stability

    degree = (stability(batch).bond_orders > 0).sum(-1)
    assert sum(map(len, bond_angles(batch).values())) == int((degree * (degree - 1) // 2).sum())


def test_large_batches_are_cut_without_loss():
    batch = random_molecules([4] * 600)
    values = pair_distances(batch, 1e9)
    assert sum(map(len, values.values())) == 600 * 6


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=12), st.lists(st.floats(-5, 5), min_size=1, max_size=12))
@settings(max_examples=30, deadline=None)
def test_wasserstein_is_scipys(a, b):
    from scipy.stats import wasserstein_distance

    assert wasserstein_1(np.array(a), np.array(b)) == pytest.approx(wasserstein_distance(a, b), abs=1e-9)


def test_jensen_shannon_bounds():
    from scipy.spatial.distance import jensenshannon

    p, q = np.array([3.0, 1.0, 0.0]), np.array([0.0, 0.0, 5.0])
    assert jensen_shannon(p, p) == 0.0
    assert jensen_shannon(p, q) == pytest.approx(1.0)
    r = np.array([1.0, 2.0, 4.0])
    assert jensen_shannon(p, r) == pytest.approx(jensenshannon(p, r, base=2) ** 2)


def test_comparison_of_equal_shifted_and_missing_values():
    rng = np.random.default_rng(0)
    data = {"C-H": rng.normal(1.1, 0.02, 3000), "C-C": rng.normal(1.5, 0.02, 1000)}
    equal, _ = compare(data, data)
    assert (equal.name, equal.wasserstein, equal.jensen_shannon) == ("C-H", 0.0, 0.0)
    shifted, missing = compare({"C-H": data["C-H"] + 0.1}, data)
    assert shifted.wasserstein == pytest.approx(0.1)
    assert 0.5 < shifted.jensen_shannon <= 1.0
    assert (shifted.samples * np.diff(shifted.edges)).sum() == pytest.approx(1.0)
    assert missing.n_samples == 0
    assert math.isnan(missing.wasserstein)
    assert math.isnan(missing.jensen_shannon)
    assert [one.name for one in compare(data, data, n_largest=1)] == ["C-H"]


def test_empty_comparison_of_no_values():
    assert compare({}, {}) == []
