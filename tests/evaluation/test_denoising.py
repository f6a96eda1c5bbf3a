"""Noise loss and denoising with denoisers whose score is known."""

from __future__ import annotations

import math

import pytest
import torch

from hydramol.core.batch import Batch
from hydramol.core.protocols import Corrupted, Output, Samples, Sums
from hydramol.core.randomness import Randomness
from hydramol.evaluation.denoising import denoising_table, noise_loss_table
from hydramol.geometry.centring import centre
from hydramol.samplers.ddpm import DDPM
from hydramol.transport.discrete_path import DiscretePath
from hydramol.transport.linear_guess import LinearGuess, position_variance
from hydramol.transport.prior import CentredGaussian
from hydramol.transport.transport import Transport
from tests.conftest import random_molecules

RANDOM = Randomness(1, "evaluation")


class Process:
    """A small noising process of 100 steps with a = 1 and s = t / 100."""

    def sample_time(self, batch: Batch, random: Randomness) -> torch.Tensor:
        return (random.uniform(batch)[:, 0] * 100).long()

    def corrupt(self, x1, t, batch: Batch, random: Randomness) -> Corrupted:
        noise = random.normal_rows(batch).to(x1.dtype)
        x_t = x1 + batch.spread((t + 1) / 100)[..., None] * noise
        return Corrupted(x_t, t, noise, noise, torch.ones(len(batch)))

    def squared_error(self, output, corrupted: Corrupted, batch: Batch) -> Sums:
        total = batch.sum((output - corrupted.target).square().sum(-1, keepdim=True))[:, 0]
        return Sums(total, 3.0 * batch.sizes["atom"])


class Perfect:
    """A sampler that moves a given share of the way to the truth."""

    needs = frozenset()
    n_samples, max_steps = 1, None

    def __init__(self, share: float) -> None:
        self.share = share
        self.t_starts: list[int] = []

    def sample(self, denoise, transport, start, condition, *, t_start=None, random, observer=None) -> Samples:
        self.t_starts.append(t_start)
        x = start + self.share * (condition["pos"] - start)
        n = len(condition)
        return Samples(x, torch.ones(n), torch.ones(n, dtype=torch.bool), 1)


def batches(layout: str) -> list[Batch]:
    data = random_molecules([5, 9, 3, 12], dtype=torch.float64)
    return [data.select(torch.tensor(items)).to_layout(layout) for items in ([0, 1], [2, 3])]


@pytest.mark.parametrize("layout", ["flat", "padded"])
def test_noise_loss_of_known_predictions(layout):
    half = 0.5

    def denoise(x, t, condition):  # finds all of the noise but this much of it
        clean = next(one["pos"] for one in batches(layout) if torch.equal(one["item"], condition["item"]))
        return Output((x - clean) / condition.spread((t + 1) / 100)[..., None].clamp(min=1e-9) * half)

    rows = noise_loss_table(
        denoise,
        Process(),
        batches(layout),
        lambda x, t, batch: torch.zeros_like(x),
        RANDOM,
        t_edges=(0, 50, 100),
        n_draws=50,
    )
    everything, low, high = rows
    assert everything.n == 200
    assert low.n + high.n == 200
    assert everything.zero == pytest.approx(1.0, abs=0.05)  # standard normal noise
    for row in rows:
        assert row.model == pytest.approx(row.zero * (1 - half) ** 2)
        assert row.linear == pytest.approx(row.zero)


def test_layouts_agree_and_empty_ranges_say_so():
    def denoise(x, t, condition):
        return Output(0.3 * x)

    def table(layout):
        return noise_loss_table(denoise, Process(), batches(layout), lambda x, t, b: x, RANDOM, t_edges=(0, 100, 200))

    for flat, padded in zip(table("flat")[:2], table("padded")[:2], strict=True):
        assert flat.model == pytest.approx(padded.model)
    assert table("flat")[2].n == 0
    assert math.isnan(table("flat")[2].model)


def test_wrong_calls():
    with pytest.raises(ValueError, match="t_edges"):
        noise_loss_table(None, Process(), batches("flat"), None, RANDOM, t_edges=(5, 1))
    with pytest.raises(ValueError, match="no structures"):
        noise_loss_table(None, Process(), [], None, RANDOM)
    with pytest.raises(ValueError, match="no structures"):
        denoising_table(None, Process(), Perfect(1.0), [], [10], RANDOM)


@pytest.mark.parametrize("layout", ["flat", "padded"])
def test_denoising_reports_what_the_sampler_did(layout):
    sampler = Perfect(1.0)
    weak, strong = denoising_table(None, Process(), sampler, batches(layout), [10, 50], RANDOM, n_shown=1)
    assert sampler.t_starts == [10, 50, 10, 50]
    assert len(weak.before) == 4
    assert weak.after.max() < 1e-7
    assert weak.reduction == pytest.approx(100.0)
    assert strong.before.mean() > 3 * weak.before.mean()  # 0.5 against 0.1 of noise
    assert {name: len(batch) for name, batch in weak.shown.items()} == {"noised": 1, "denoised": 1, "real": 1}
    assert torch.allclose(weak.shown["denoised"]["pos"], weak.shown["real"]["pos"], atol=1e-7)

    (nothing,) = denoising_table(None, Process(), Perfect(0.0), batches(layout), [10], RANDOM)
    assert nothing.reduction == pytest.approx(0.0)
    assert torch.equal(nothing.before, weak.before)  # the same structures, whatever else is asked
    assert nothing.shown == {}

    (many,) = denoising_table(None, Process(), sampler, batches(layout), [10], RANDOM, n_shown=3)
    assert many.shown["real"]["item"].tolist() == [0, 2, 3] == list(many.places)  # a share of each batch
    assert many.shown["noised"].sizes["atom"].tolist() == [5, 3, 12]


def test_with_the_house_transport_and_sampler():
    """A denoiser that knows the clean structures brings them back; the linear guess lies between it and nothing."""
    data = random_molecules([5, 9, 14], dtype=torch.float64)
    data = data.with_fields(pos=centre(data["pos"], data))
    path = DiscretePath()
    transport = Transport(path, CentredGaussian())

    def oracle(x, t, condition):
        a, s = (condition.spread(value)[..., None] for value in path.at(t))
        return Output((x - a * data["pos"]) / s)

    (result,) = denoising_table(oracle, transport, DDPM(), [data], [100], RANDOM)
    assert result.before.mean() > 0.1
    assert result.after.max() < 0.01
    guess = LinearGuess(path, position_variance(data["pos"], data))
    overall = noise_loss_table(oracle, transport, [data], guess, RANDOM, n_draws=40)[0]
    assert overall.model < 1e-3
    assert 0.3 < overall.linear / overall.zero < 0.9
