"""The equivariance error of functions for which it is known."""

from __future__ import annotations

import math

import pytest
import torch

from hydramol.core.protocols import Output
from hydramol.core.randomness import Randomness
from hydramol.evaluation.equivariance import equivariance_error
from tests.conftest import random_molecules

RANDOM = Randomness(0, "equivariance")


def error(function, layout: str = "flat", n_rotations: int = 8) -> torch.Tensor:
    batch = random_molecules([4, 11, 7]).to_layout(layout)
    return equivariance_error(
        lambda x, t, condition: Output(function(x)), batch["pos"], torch.zeros(3), batch, RANDOM, n_rotations
    )


@pytest.mark.parametrize("layout", ["flat", "padded"])
def test_equivariant_functions_show_rounding_only(layout):
    assert error(lambda x: x * x.square().sum(-1, keepdim=True), layout).max() < 1e-5


def test_functions_of_a_fixed_frame_do_not():
    assert error(lambda x: x.abs()).min() > 0.1
    constant = error(lambda x: torch.ones_like(x), n_rotations=200)
    # |R u - u| averaged over rotations of a unit vector: chords to a uniform point on the sphere, mean 4/3.
    assert constant.mean() == pytest.approx(4 / 3, abs=0.05)


def test_layouts_agree():
    assert torch.allclose(error(lambda x: x.abs()), error(lambda x: x.abs(), "padded"), atol=1e-6)


def test_a_small_fixed_part_shows_by_its_size():
    small = error(lambda x: x + 1e-3 * torch.tensor([1.0, 0.0, 0.0]))
    assert (small < 2e-3).all()
    assert (small > 1e-5).all()
    assert math.isfinite(float(small.sum()))


def test_zero_turns_with_anything():
    assert error(lambda x: 0.0 * x).eq(0).all()
