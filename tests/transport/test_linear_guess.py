"""The linear guess of the noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hydramol.core.batch import Batch
from hydramol.core.randomness import Randomness
from hydramol.transport.discrete_path import DiscretePath
from hydramol.transport.linear_guess import LinearGuess, position_variance
from hydramol.transport.prior import CentredGaussian
from hydramol.transport.transport import Transport


@pytest.fixture(scope="module")
def qm9(shared_data) -> Batch:
    data = np.load(shared_data / "morered" / "qm9_dev2000.npz", allow_pickle=True)
    sizes = torch.from_numpy((data["z"] > 0).sum(1))
    fields = {"pos": torch.from_numpy(data["pos"]), "item": torch.arange(len(sizes))}
    return Batch(fields, {"atom": sizes}, "padded")


def test_position_variance_does_not_depend_on_size():
    """White noise of variance 2.5 has that variance in each degree of freedom, in small and large molecules."""
    for size in (2, 3, 20):
        count = 60_000 // size
        batch = Batch({"item": torch.arange(count)}, {"atom": torch.full((count,), size)})
        pos = 2.5**0.5 * Randomness(0, "pos").normal_rows(batch)
        assert position_variance(pos, batch) == pytest.approx(2.5, rel=0.02)
    single = Batch({"item": torch.arange(4)}, {"atom": torch.ones(4, dtype=torch.int64)})
    with pytest.raises(ValueError, match="two atoms"):
        position_variance(torch.zeros(4, 3), single)


@pytest.mark.parametrize("t", [5, 300, 700, 999])
def test_it_is_the_regression_coefficient(qm9, t):
    """Least squares over real molecules and fresh noise finds c, and leaves what g says."""
    guess = LinearGuess(DiscretePath(), position_variance(qm9["pos"], qm9))
    steps = torch.full((len(qm9),), t)
    transport = Transport(DiscretePath(), CentredGaussian())
    noised = transport.corrupt(qm9["pos"], steps, qm9, Randomness(0, "guess"))
    c, g = (value[0].item() for value in guess.at(steps))
    product, square = (noised.noise * noised.x_t).sum(), noised.x_t.square().sum()
    assert (product / square).item() == pytest.approx(c, abs=4 / square.sqrt().item())
    residual = (noised.noise - guess(noised.x_t, steps, qm9)).square().sum()
    assert (residual / noised.noise.square().sum()).item() == pytest.approx(g**2, rel=0.03)
    for factor in (0.97, 1.03):
        assert (noised.noise - factor * c * noised.x_t).square().sum() > 0.99 * residual


def test_score_on_qm9(qm9):
    """Over uniform t the guess scores 0.62 of guessing zero, as its own formula says."""
    path = DiscretePath()
    guess = LinearGuess(path, position_variance(qm9["pos"], qm9))
    transport = Transport(path, CentredGaussian(), stratified=True)
    batch = qm9.with_fields(order=torch.arange(len(qm9)))
    guessed, zero = 0.0, 0.0
    for epoch in range(5):
        random = Randomness(0, "train", epoch)
        t = transport.sample_time(batch, random)
        noised = transport.corrupt(batch["pos"], t, batch, random)
        guessed += transport.loss(guess(noised.x_t, t, batch), noised, batch).total.sum().item()
        zero += transport.loss(torch.zeros_like(noised.x_t), noised, batch).total.sum().item()
    assert guessed / zero == pytest.approx(guess.expected_loss(), abs=0.004)
    assert guess.expected_loss() == pytest.approx(0.62, abs=0.01)


def test_variance_must_be_positive():
    for value in (0.0, -1.0, float("nan")):
        with pytest.raises(ValueError, match="position_variance"):
            LinearGuess(DiscretePath(), value)
