"""The variational bound, where everything about it is known: for Gaussian data."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from hydramol.core.batch import Batch
from hydramol.core.protocols import Output
from hydramol.core.randomness import Randomness
from hydramol.geometry.centring import centre
from hydramol.transport.discrete_path import DiscretePath
from hydramol.transport.likelihood import Bound, join_bounds, noise_predictor, variational_bound
from hydramol.transport.linear_guess import LinearGuess
from hydramol.transport.prior import CentredGaussian
from hydramol.transport.transport import Transport

V = 2.0
RANDOM = Randomness(3, "likelihood")


def make(n_steps: int = 1000, **options) -> Transport:
    return Transport(DiscretePath(n_steps=n_steps, **options), CentredGaussian())


def gaussian(count: int, size: int = 5, v: float = V) -> Batch:
    batch = Batch({"item": torch.arange(count)}, {"atom": torch.full((count,), size)})
    return batch.with_fields(pos=centre(math.sqrt(v) * Randomness(1, "data").normal_rows(batch), batch))


def exact_nats(batch: Batch, v: float = V) -> Tensor:
    """Negative log density of N(0, v) in 3 (n - 1) dimensions."""
    freedom = 3 * (batch.sizes["atom"] - 1)
    return 0.5 * (freedom * math.log(2 * math.pi * v) + batch.sum(batch["pos"].square()).sum(-1) / v)


def expected_bound(transport: Transport, size: int, v: float = V) -> float:
    """The bound of the exact denoiser of Gaussian data, averaged over them: plain Gaussian algebra.

    Written with the moments of x_{t-1} given x_t rather than with errors of the noise, unlike what is tested.
    """
    path, d = transport.path, 3 * (size - 1)
    a, s = path.at(torch.arange(path.n_steps))
    total = 0.5 * d * (s[-1] ** 2 + a[-1] ** 2 * v - 1 - (s[-1] ** 2).log())
    posterior = 1 / (1 / v + a[0] ** 2 / s[0] ** 2)  # of x given x_0
    decoder = (s[0] / a[0]) ** 2
    total += 0.5 * d * ((2 * math.pi * decoder).log() + posterior / decoder)
    alpha = (a[1:] / a[:-1]) ** 2
    here = s[:-1] ** 2 * (1 - alpha) / s[1:] ** 2  # variance of x_{t-1} given x_t and x
    true = 1 / (1 / (a[:-1] ** 2 * v + s[:-1] ** 2) + alpha / (1 - alpha))  # of x_{t-1} given x_t
    sigma = here if path.variance == "lower_bound" else 1 - alpha
    return float(total + 0.5 * d * (here / sigma - 1 - (here / sigma).log() + (true - here) / sigma).sum())


@pytest.mark.parametrize("variance", ["lower_bound", "upper_bound"])
@pytest.mark.parametrize("schedule", ["polynomial", "cosine"])
def test_bound_of_gaussian_data_is_what_algebra_says(variance, schedule):
    transport = make(40, variance=variance, schedule=schedule)
    batch = gaussian(1000)
    bound = variational_bound(LinearGuess(transport.path, V), transport, batch, RANDOM, n_times=None)
    # The density of the data fluctuates; its mean is known.
    luck = exact_nats(batch).mean() - 0.5 * 12 * (math.log(2 * math.pi * V) + 1)
    difference = bound.nats - luck - expected_bound(transport, 5)
    assert difference.mean().abs() < 4 * bound.error.square().sum().sqrt() / 1000 + 0.05


@pytest.mark.parametrize("variance", ["lower_bound", "upper_bound"])
def test_bound_lies_above_the_truth_and_approaches_it(variance):
    entropy = 0.5 * 12 * (math.log(2 * math.pi * V) + 1)
    gaps = [expected_bound(make(n, variance=variance), 5) - entropy for n in (20, 100, 1000, 10_000, 100_000)]
    assert gaps == sorted(gaps, reverse=True)
    assert 0 < gaps[-1] < 0.1  # nats, of 12 dimensions
    # What is measured follows, structure by structure as far as chance allows.
    batch = gaussian(100)
    for n_steps, gap in ((20, gaps[0]), (100, gaps[1]), (1000, gaps[2])):
        transport = make(n_steps, variance=variance)
        bound = variational_bound(LinearGuess(transport.path, V), transport, batch, RANDOM, n_times=60)
        above = bound.nats - exact_nats(batch)
        error = (above.std() / 10).item()
        assert above.mean().item() == pytest.approx(gap, abs=4 * error)
        assert error < 0.15 * gap + 0.7


def test_a_wrong_denoiser_has_a_worse_bound():
    transport, batch = make(100), gaussian(100)
    right = variational_bound(LinearGuess(transport.path, V), transport, batch, RANDOM, 50).nats.mean()
    for v in (0.5 * V, 2 * V):
        assert variational_bound(LinearGuess(transport.path, v), transport, batch, RANDOM, 50).nats.mean() > right + 0.1


@pytest.mark.parametrize("variance", ["lower_bound", "upper_bound"])
def test_steps_are_kl_divergences_of_gaussians(variance):
    """Against torch's KL divergence of the two distributions, from their means and variances."""
    transport, batch = make(10, variance=variance), gaussian(3)
    n, d, guess = 10, 12, LinearGuess(transport.path, 1.3)
    x = batch["pos"]
    bound = variational_bound(guess, transport, batch, RANDOM, n_times=None)
    total = torch.zeros(3, dtype=torch.float64)
    ab = torch.cat([torch.ones(1, dtype=torch.float64), transport.path.table["alpha_bar"]])
    for k in range(n - 1):
        t = torch.full((3,), k + 1)
        noised = transport.corrupt(x, t, batch, RANDOM.for_stream("noise").at(k))
        now, before = ab[k + 2], ab[k + 1]
        beta = 1 - now / before
        variance_q = (1 - before) / (1 - now) * beta
        mean_q = before.sqrt() * beta / (1 - now) * x + (now / before).sqrt() * (1 - before) / (1 - now) * noised.x_t
        sigma = variance_q if variance == "lower_bound" else beta
        step = transport.path.reverse(t)
        noise = guess(noised.x_t, t, batch)
        mean_p = step.scale[0] * (noised.x_t - step.noise_scale[0] * noise)
        # Differences of means lie in the centred space; the rest of the divergence is d times that of one dimension.
        total += batch.sum((mean_q - mean_p).square()).sum(-1) / (2 * sigma)
        one, other = (torch.distributions.Normal(0.0, float(value) ** 0.5) for value in (variance_q, sigma))
        total += d * torch.distributions.kl_divergence(one, other).double()
    assert torch.allclose(bound.steps, total, rtol=1e-6)


def test_prior_and_decoder_are_those_of_gaussians():
    transport, batch = make(10), gaussian(3)
    bound = variational_bound(LinearGuess(transport.path, V), transport, batch, RANDOM)
    a, s = (value.item() for value in transport.path.at(torch.tensor(9)))
    # In an orthonormal basis of the centred space, dimension by dimension.
    basis = torch.linalg.svd(torch.eye(5, dtype=torch.float64) - 0.2).U[:, :4]
    coordinates = torch.einsum("an,iad->ind", basis, batch["pos"].view(3, 5, 3)).flatten(1)
    q = torch.distributions.Normal(a * coordinates, s)
    p = torch.distributions.Normal(torch.zeros_like(coordinates), 1.0)
    assert torch.allclose(bound.prior, torch.distributions.kl_divergence(q, p).sum(1))
    first = torch.zeros(3, dtype=torch.int64)
    noised = transport.corrupt(batch["pos"], first, batch, RANDOM.for_stream("noise").at(10))
    view = transport.view(LinearGuess(transport.path, V)(noised.x_t, first, batch), noised.x_t, first, batch)
    means = torch.einsum("an,iad->ind", basis, view.clean.view(3, 5, 3)).flatten(1)
    a, s = (value.item() for value in transport.path.at(torch.tensor(0)))
    decoder = torch.distributions.Normal(means, s / a)
    assert torch.allclose(bound.decoder, -decoder.log_prob(coordinates).sum(1))


@pytest.mark.parametrize("variance", ["lower_bound", "upper_bound"])
def test_drawn_times_agree_with_all_of_them_as_their_error_says(variance):
    transport, batch = make(100, variance=variance), gaussian(400)
    guess = LinearGuess(transport.path, V)
    for predict in (guess, lambda x_t, t, batch: 0.7 * guess(x_t, t, batch)):
        every = variational_bound(predict, transport, batch, RANDOM, n_times=None)
        some = variational_bound(predict, transport, batch, Randomness(8, "likelihood"), n_times=20)
        # Structures differ, and so do their sums; each pair of estimates is of the same one.
        pull = (some.steps - every.steps) / (some.error.square() + every.error.square()).sqrt()
        assert pull.mean().abs() < 0.3
        assert 0.6 < pull.std() < 1.5


def test_every_step_is_met_once():
    transport, seen = make(30), []

    def watch(x_t, t, batch):
        seen.append(t)
        return torch.zeros_like(x_t)

    for n_times in (None, 29, 1000):
        seen.clear()
        variational_bound(watch, transport, gaussian(2), RANDOM, n_times=n_times)
        *steps, decoder = seen
        assert torch.equal(torch.stack(steps), torch.arange(1, 30)[:, None].expand(29, 2))
        assert decoder.tolist() == [0, 0]
    seen.clear()
    variational_bound(watch, transport, gaussian(2000), RANDOM, n_times=4)
    times = torch.stack(seen[:-1])
    assert times.shape == (4, 2000)
    assert times.unique().tolist() == list(range(1, 30))


@pytest.mark.parametrize("predicts", ["noise", "clean"])
def test_layout_padding_company_and_place_change_nothing(molecules, predicts):
    transport = Transport(DiscretePath(n_steps=50), CentredGaussian(), predicts=predicts)
    predict = noise_predictor(
        lambda x, t, c: Output(torch.sin(x) * c.spread(t / 50.0)[..., None] * c.mask()[..., None]), transport
    )
    whole = variational_bound(predict, transport, molecules, RANDOM, n_times=7)
    moved = molecules.with_fields(pos=molecules["pos"].double() + 5.0).to_layout("padded", 13)
    some = torch.tensor([2, 0])
    for other, chosen in (
        (variational_bound(predict, transport, moved, RANDOM, n_times=7), torch.arange(3)),
        (variational_bound(predict, transport, molecules.select(some), RANDOM, n_times=7), some),
    ):
        for one, two in zip(whole, other, strict=True):
            assert torch.allclose(one[chosen].double(), two.double(), rtol=1e-4)


def test_what_is_predicted_does_not_matter(molecules):
    by_noise, by_clean = (
        Transport(DiscretePath(n_steps=50), CentredGaussian(), predicts=p) for p in ("noise", "clean")
    )
    guess = LinearGuess(by_noise.path, V)

    def clean(x, t, condition):
        return Output(by_noise.view(guess(x.double(), t, condition), x, t, condition).clean)

    one = variational_bound(
        noise_predictor(lambda x, t, c: Output(guess(x, t, c)), by_noise), by_noise, molecules, RANDOM
    )
    other = variational_bound(noise_predictor(clean, by_clean), by_clean, molecules, RANDOM)
    assert torch.allclose(one.nats, other.nats, rtol=1e-3)


def test_bits_count_the_centred_dimensions(molecules):
    one = torch.full((3,), 6.0, dtype=torch.float64)
    bound = Bound(one, one, one, one, torch.tensor([12, 24, 0]))
    assert bound.bits_per_dimension[0].item() == pytest.approx(18 / (12 * math.log(2)))
    assert not bound.bits_per_dimension[2].isfinite()


def test_a_single_atom_has_nothing_to_bound():
    batch = Batch({"pos": torch.ones(1, 3), "item": torch.tensor([0])}, {"atom": torch.tensor([1])})
    transport = make(20)
    assert variational_bound(LinearGuess(transport.path, V), transport, batch, RANDOM, 5).nats.item() == 0.0


def test_bounds_are_joined(molecules):
    transport = make(20)
    guess, halves = LinearGuess(transport.path, V), (torch.tensor([0]), torch.tensor([1, 2]))
    whole = variational_bound(guess, transport, molecules, RANDOM, 5)
    parts = [variational_bound(guess, transport, molecules.select(half), RANDOM, 5) for half in halves]
    assert torch.allclose(join_bounds(parts).nats, whole.nats)


def test_at_least_one_time():
    with pytest.raises(ValueError, match="n_times=0"):
        variational_bound(lambda x, t, b: x, make(20), gaussian(1), RANDOM, n_times=0)
