r"""The variational bound on the likelihood of structures under a discrete diffusion (Ho et al., NeurIPS 2020, eq. 5).

.. math::
    -\log p(x) \le \underbrace{KL(q(x_{T-1} | x) \,\|\, N(0, 1))}_{prior}
    + \sum_{t=1}^{T-1} \underbrace{KL(q(x_{t-1} | x_t, x) \,\|\, p(x_{t-1} | x_t))}_{L_t}
    + \underbrace{E[- \log p(x | x_0)]}_{decoder}

with states x_t, t = 0 ... T-1, of which x_0 has been noised once. All distributions live in the d = 3 (n - 1)
dimensions of structures centred at the origin, and p(x) is a density there, per Angstrom^d. Given a prediction of the
noise all terms are elementary. With beta~ the variance of q(x_{t-1} | x_t, x) and sigma^2 the one the reverse step uses
(``path.variance``),

.. math::
    L_t = \frac d 2 \left( \frac{\tilde\beta}{\sigma^2} - 1 - \ln \frac{\tilde\beta}{\sigma^2} \right)
    + \frac{\beta^2}{2 \sigma^2 \alpha (1 - \bar\alpha)} | \epsilon - \hat\epsilon |^2 .

The last step adds no noise when structures are drawn, which would make the density infinite. The bound takes a Gaussian
of variance s_0^2 / a_0^2 there, which is what x_0 leaves open where the data are broad in comparison.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from hydramol.core.batch import Batch
from hydramol.core.protocols import Denoiser
from hydramol.core.randomness import Randomness
from hydramol.transport.discrete_path import DiscretePath
from hydramol.transport.transport import Transport

NoisePredictor = Callable[[Tensor, Tensor, Batch], Tensor]
"""``(x_t, t, batch) -> noise``, rows in the layout of the batch; x_t is float64."""


class Bound(NamedTuple):
    """The bound of each item and its parts, ``[items]`` float64, nats.

    Attributes:
        prior: What the most noised state still tells of the structure.
        steps: Sum over all t of the steps between noised states.
        decoder: From the least noised state to the structure; a density, so of either sign.
        error: Standard error of ``steps`` from the times and noises that were drawn; nan for a single time.
        freedom: Dimensions 3 (n - 1), ``[items]`` int64.
    """

    prior: Tensor
    steps: Tensor
    decoder: Tensor
    error: Tensor
    freedom: Tensor

    @property
    def nats(self) -> Tensor:
        """Upper bound of the negative log density of each item, ``[items]``."""
        return self.prior + self.steps + self.decoder

    @property
    def bits_per_dimension(self) -> Tensor:
        """The same in bits, over the dimensions; nan for a single atom, which has none. ``[items]``"""
        return self.nats / (math.log(2.0) * self.freedom)


def join_bounds(bounds: Sequence[Bound]) -> Bound:
    """Bounds of several batches as one, on the CPU."""
    return Bound(*(torch.cat(parts).cpu() for parts in zip(*bounds, strict=True)))


def noise_predictor(denoise: Denoiser, transport: Transport) -> NoisePredictor:
    """What a denoiser says of the noise, whichever quantity it predicts."""

    def predict(x_t: Tensor, t: Tensor, batch: Batch) -> Tensor:
        return transport.view(denoise(x_t.to(torch.float32), t, batch).x, x_t, t, batch).noise

    return predict


@torch.no_grad()
def variational_bound(
    predict_noise: NoisePredictor, transport: Transport, batch: Batch, random: Randomness, n_times: int | None = 100
) -> Bound:
    """Bounds the negative log-likelihood of structures from above.

    Args:
        predict_noise: The model, see `noise_predictor`.
        transport: A `Transport` on a discrete path.
        batch: Structures with ``pos``, Angstrom; they need not be centred.
        random: Where times and noises come from; equal addresses make models comparable draw by draw.
        n_times: Terms of the sum over t that are drawn for each item; None takes every one, with one noise each. Most
            of the sum comes from small t, so terms are drawn as often as they are expected to be large (`_chances`),
            one in each of so many stretches of equal chance.

    Returns:
        The bound; its expectation over times and noises is exact.
    """
    if n_times is not None and n_times < 1:
        raise ValueError(f"n_times={n_times}: at least 1, or None for every step")
    path, n_steps = transport.path, transport.path.n_steps
    x = transport.prior.project(batch["pos"].to(torch.float64), batch)
    freedom = transport.prior.degrees_of_freedom(batch)

    def squared_error(t: Tensor, draw: int) -> Tensor:
        noised = transport.corrupt(x, t, batch, random.for_stream("noise").at(draw))
        error = predict_noise(noised.x_t, t, batch).to(torch.float64) - noised.noise
        return batch.sum(error.square()).sum(-1)

    count = n_steps - 1 if n_times is None else min(n_times, n_steps - 1)
    every = count == n_steps - 1
    chances = (torch.full((count,), 1.0 / count, dtype=torch.float64) if every else _chances(path)).to(batch.device)
    edges = chances.cumsum(0)
    found = []
    for k in range(count):
        if every:
            t = torch.full((len(batch),), k + 1, device=batch.device)
        else:
            place = (k + random.for_stream("time").at(k).uniform(batch)[:, 0]) / count
            t = 1 + torch.searchsorted(edges, place, right=True).clamp(max=n_steps - 2)
        found.append(_step(path, t, squared_error(t, k), freedom) / chances[t - 1])
    terms = torch.stack(found)
    first = torch.zeros(len(batch), dtype=torch.int64, device=batch.device)
    return Bound(
        prior=_prior(path, x, batch, freedom),
        steps=terms.mean(0),
        decoder=_decoder(path, squared_error(first, n_steps), freedom),
        error=_standard_error(terms),
        freedom=freedom,
    )


def _prior(path: DiscretePath, x: Tensor, batch: Batch, freedom: Tensor) -> Tensor:
    """KL divergence of the most noised state from the prior."""
    a, s = path.at(torch.full_like(freedom, path.n_steps - 1))
    mean = a.square() * batch.sum(x.square()).sum(-1)
    return 0.5 * (freedom * (s.square() - 1.0 - s.square().log()) + mean)


def _step(path: DiscretePath, t: Tensor, squared_error: Tensor, freedom: Tensor) -> Tensor:
    """L_t of a step with t > 0, given the squared error of its noise."""
    a, s = path.at(t)
    a_before, s_before = path.at(t - 1)
    beta = 1.0 - (a / a_before).square()
    reverse = path.reverse(t)
    variance = reverse.sigma.square()
    ratio = beta * (s_before / s).square() / variance
    mean = (reverse.scale * reverse.noise_scale).square() * squared_error
    return 0.5 * (freedom * (ratio - 1.0 - ratio.log()) + mean / variance)


def _chances(path: DiscretePath) -> Tensor:
    """Chance of each step 1 ... T-1 to be drawn, ``[T - 1]`` float64.

    Nine parts in proportion to the terms of a model that errs as the best linear guess for white data of 1 Angstrom^2
    and by 0.02 of the noise besides, for nets are never exact near pure noise; one part even, so that no step is rare
    whatever the model does. The nearer to the truth, the less a drawn sum scatters; its expectation is exact anyway.
    """
    t = torch.arange(1, path.n_steps)
    expected = _step(path, t, path.at(t)[0].square() + 0.02, torch.ones_like(t))
    return 0.9 * expected / expected.sum() + 0.1 / len(t)


def _decoder(path: DiscretePath, squared_error: Tensor, freedom: Tensor) -> Tensor:
    """Negative log density of the structure given the least noised state; its mean errs s / a times as the noise."""
    a, s = path.at(torch.zeros_like(freedom))
    return 0.5 * (freedom * (2.0 * math.pi * (s / a).square()).log() + squared_error)


def _standard_error(terms: Tensor) -> Tensor:
    """Standard error of the mean of draws from neighbouring stretches, ``[draws, items] -> [items]``.

    From differences of neighbours, which a slow change over the stretches does not inflate (Wolter, Introduction to
    Variance Estimation, 2007, section 8.2).
    """
    count = len(terms)
    if count < 2:
        return torch.full_like(terms[0], math.nan)
    return (terms.diff(dim=0).square().sum(0) / (2.0 * (count - 1) * count)).sqrt()
