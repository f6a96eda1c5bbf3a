"""Schedules and tables against the published implementation, and their mathematics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hydramol.transport import schedules
from hydramol.transport.discrete_path import DiscretePath

NAMES = ("polynomial", "cosine", "linear")


@pytest.fixture(scope="module")
def published(golden):
    return np.load(golden / "morered_schedules.npz")


@pytest.mark.parametrize("variance", ["lower_bound", "upper_bound"])
@pytest.mark.parametrize("schedule", NAMES)
def test_tables_equal_the_published_ones(published, schedule, variance):
    path = DiscretePath(schedule, variance=variance)
    every = torch.arange(1000)
    a, s = path.at(every)
    scale, noise_scale, sigma = path.reverse(every)
    square = path.table["sigma_square"]
    ours = {
        "alpha_bar": path.table["alpha_bar"],
        "beta_bar": 1 - path.table["alpha_bar"],
        "sqrt_alpha_bar": a,
        "sqrt_beta_bar": s,
        "alpha": path.table["alpha"],
        "beta": path.table["beta"],
        "inv_sqrt_alpha": scale,
        "inv_sqrt_beta_bar": noise_scale / path.table["beta"],
        f"sigma_square_{variance}": square,
        f"sigma_{variance}": square.sqrt(),
        f"vlb_weight_{variance}": path.table["vlb_weight"],
    }
    for name, value in ours.items():
        np.testing.assert_allclose(value, published[f"T1000/{schedule}/{name}"], rtol=1e-10, err_msg=name)
    np.testing.assert_allclose(sigma[1:], published[f"T1000/{schedule}/sigma_{variance}"][1:], rtol=1e-10)
    assert sigma[0] == 0


@pytest.mark.parametrize("n_steps", [250, 1000])
def test_schedules_follow_their_formulas(n_steps):
    """Closed forms, at lengths and parameters other than the default too; away from the bounded last ratios."""
    u = np.arange(1, n_steps) / n_steps
    for precision in (1e-5, 1e-4):
        expected = (1 - u**2) ** 2 * (1 - 2 * precision) + precision
        np.testing.assert_allclose(schedules.polynomial(n_steps, precision)[:-1], expected, rtol=1e-10)
    for offset, exponent in ((0.008, 1.0), (0.008, 2.0), (0.02, 1.0)):
        curve = np.cos(np.pi / 2 * (np.concatenate([[0.0], u]) ** exponent + offset) / (1 + offset)) ** 2
        np.testing.assert_allclose(schedules.cosine(n_steps, offset, exponent)[:-1], curve[1:] / curve[0], rtol=1e-10)
    for first, last in ((1e-4, 0.02), (1e-3, 0.01)):
        beta = 1000 / n_steps * (first + (last - first) * np.arange(n_steps) / (n_steps - 1))
        expected = np.exp(np.cumsum(np.log1p(-beta)))
        np.testing.assert_allclose(schedules.linear(n_steps, first, last), expected, rtol=1e-10)


def test_other_published_parameters(published):
    """Not every copy of the reference file carries these."""
    others = {
        **{f"T250/{name}/alpha_bar": DiscretePath(name, n_steps=250) for name in NAMES},
        "variant/polynomial_s1e-4/alpha_bar": DiscretePath("polynomial", precision=1e-4),
        "variant/cosine_v2/alpha_bar": DiscretePath("cosine", exponent=2.0),
        "variant/linear_1e-3_0.01/alpha_bar": DiscretePath("linear", beta_start=1e-3, beta_end=0.01),
    }
    for name in set(others) & set(published.files):
        np.testing.assert_allclose(others[name].table["alpha_bar"], published[name], rtol=1e-10, err_msg=name)


def test_normalised_time(published):
    path = DiscretePath()
    time = path.normalise(torch.arange(1000))
    assert time.dtype == torch.float32
    assert np.array_equal(time, published["normalised_time"])
    assert np.array_equal(path.unnormalise(time), published["unnormalised_back"])
    assert np.array_equal(
        path.unnormalise(torch.from_numpy(published["query_normalised"])), published["query_unnormalised"]
    )
    for outside in (-0.01, 1.01):
        with pytest.raises(ValueError, match=r"\[0, 1\]"):
            path.unnormalise(torch.tensor([0.5, outside]))


@settings(deadline=None, max_examples=20)
@given(st.sampled_from(NAMES), st.integers(50, 1500))
def test_every_schedule_is_a_diffusion(schedule, n_steps):
    alpha_bar = getattr(schedules, schedule)(n_steps)
    assert alpha_bar.shape == (n_steps,)
    assert (np.diff(alpha_bar) < 0).all()
    assert 0 < alpha_bar[-1] < 0.01
    # Short schedules need a first step of some size; it must stay small against the whole.
    assert 1 - alpha_bar[0] < 0.01
    a, s = DiscretePath(schedule, n_steps).at(torch.arange(n_steps))
    assert (a.square() + s.square() - 1).abs().max() < 1e-14


@settings(deadline=None, max_examples=20)
@given(st.sampled_from(NAMES), st.integers(1, 999), st.integers(1, 999))
def test_strides_keep_the_marginals(schedule, one, other):
    """x_previous of the exact posterior has the marginal of `previous`, whatever the stride."""
    t, previous = max(one, other), min(one, other) - 1
    path = DiscretePath(schedule)
    (scale,), (noise_scale,), (sigma,) = path.reverse(torch.tensor([t]), torch.tensor([previous]))
    a, s = path.at(torch.tensor([previous, t]))
    # Known x1 and noise: the mean has factor a' of x1, and the leftover noise with sigma makes up s'.
    assert (scale * a[1]).item() == pytest.approx(a[0].item(), rel=1e-9)
    left = scale * (s[1] - noise_scale)
    assert (left.square() + sigma.square()).item() == pytest.approx(s[0].square().item(), rel=1e-7)


def test_stride_of_one_is_the_table():
    path = DiscretePath()
    t = torch.arange(1000)
    for ours, default in zip(path.reverse(t, t - 1), path.reverse(t), strict=True):
        assert torch.equal(ours, default)


def test_bad_arguments():
    for options in (
        {"schedule": "quadratic"},
        {"n_steps": 1},
        {"precision": 0.0},
        {"variance": "learned"},
        {"schedule": "linear", "n_steps": 10},
    ):
        with pytest.raises(ValueError, match=str(next(iter(options)))):
            DiscretePath(**options)
    with pytest.raises(TypeError, match="integer step"):
        DiscretePath().at(torch.tensor([0.5]))
