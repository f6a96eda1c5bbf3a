"""RMSD with labels, and with like atoms matched."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hydramol.core.batch import Batch
from hydramol.core.randomness import Randomness
from hydramol.evaluation.rmsd import matched_rmsd, rmsd
from tests.conftest import random_molecules

RANDOM = Randomness(0, "rmsd")


def moved(batch: Batch, rng: np.random.Generator, mirror: bool) -> Batch:
    """The same structures, turned (or mirrored) and shifted."""
    q = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    if (np.linalg.det(q) < 0) != mirror:
        q = -q
    return batch.with_fields(pos=batch["pos"] @ torch.from_numpy(q) + torch.from_numpy(rng.normal(size=3)))


def shuffled(batch: Batch, rng: np.random.Generator) -> Batch:
    """The same structures with their atoms in another order."""
    first, rows = 0, []
    for size in batch.sizes["atom"].tolist():
        rows.append(first + rng.permutation(size))
        first += size
    order = torch.from_numpy(np.concatenate(rows))
    return batch.with_fields(z=batch["z"][order], pos=batch["pos"][order])


@given(st.integers(0, 2**31))
@settings(max_examples=10, deadline=None)
def test_rigid_motion_is_no_difference(seed):
    rng = np.random.default_rng(seed)
    batch = random_molecules([4, 9, 6], seed=seed % 97, dtype=torch.float64)
    assert torch.allclose(rmsd(moved(batch, rng, mirror=False), batch), torch.zeros(3).double(), atol=1e-7)
    assert (rmsd(moved(batch, rng, mirror=True), batch) > 1e-3).all()


@given(st.integers(0, 2**31), st.booleans())
@settings(max_examples=10, deadline=None)
def test_matching_sees_through_order_and_mirror(seed, mirror):
    rng = np.random.default_rng(seed)
    batch = random_molecules([5, 12, 18], seed=seed % 97, dtype=torch.float64)
    assert torch.allclose(
        matched_rmsd(moved(shuffled(batch, rng), rng, mirror), batch, RANDOM), torch.zeros(3).double(), atol=1e-6
    )


def test_matching_never_exceeds_the_labelled_rmsd():
    rng = np.random.default_rng(3)
    batch = random_molecules([7, 14], dtype=torch.float64)
    noised = batch.with_fields(pos=batch["pos"] + torch.from_numpy(rng.normal(size=batch["pos"].shape)))
    labelled, matched = rmsd(noised, batch), matched_rmsd(noised, batch, RANDOM)
    assert (matched <= labelled + 1e-9).all()
    assert (matched > 0).all()


def test_matching_is_close_to_the_true_minimum():
    """Exhaustive search over all exchanges of four like atoms and both hands, with noise on top."""
    from itertools import permutations

    from hydramol.geometry.kabsch import kabsch_rmsd

    rng = np.random.default_rng(5)
    target = torch.from_numpy(rng.normal(size=(1, 5, 3)))
    sample = torch.from_numpy(rng.normal(size=(1, 5, 3)))
    z = torch.tensor([6, 1, 1, 1, 1])
    mask = torch.ones(1, 5, dtype=torch.bool)
    best = min(
        float(kabsch_rmsd(sign * sample, target[:, [0, *order]], mask))
        for order in permutations([1, 2, 3, 4])
        for sign in (1, -1)
    )
    fields = {"z": z, "item": torch.tensor([0])}
    a, b = (Batch({**fields, "pos": x[0]}, {"atom": torch.tensor([5])}) for x in (sample, target))
    assert float(matched_rmsd(a, b, RANDOM, n_starts=40)) == pytest.approx(best, abs=1e-9)


def test_bad_input():
    batch = random_molecules([4], dtype=torch.float64)
    assert math.isnan(float(matched_rmsd(batch.with_fields(pos=batch["pos"] * math.nan), batch, RANDOM)))
    with pytest.raises(ValueError, match="composition"):
        matched_rmsd(batch.with_fields(z=batch["z"] + 1), batch, RANDOM)
