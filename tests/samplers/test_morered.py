"""Reverse processes that find their own time: MoreRed-JT, -AS and -ITP."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hydramol.core.batch import Batch
from hydramol.core.protocols import Output, Samples
from hydramol.core.randomness import Randomness
from hydramol.samplers.morered_adaptive import MoreRedAdaptive
from hydramol.samplers.morered_itp import MoreRedITP
from hydramol.transport.discrete_path import DiscretePath
from hydramol.transport.linear_guess import LinearGuess
from hydramol.transport.prior import CentredGaussian
from hydramol.transport.transport import Transport
from tests.conftest import random_molecules

RANDOM = Randomness(11, "sample")
VARIANCE = 1.5


class Scripted(CentredGaussian):
    """Noise of the k-th step from a table, for those items that still move."""

    def __init__(self, noise: torch.Tensor, sizes: torch.Tensor) -> None:
        self.rows = [rows.split(sizes.tolist()) for rows in noise]

    def draw(self, batch: Batch, random: Randomness) -> torch.Tensor:
        return self.project(torch.cat([self.rows[random.draw][item] for item in batch["item"]]), batch)


@pytest.mark.parametrize("name", ["jt_conv0", "as_conv0", "jt_conv3", "as_conv3", "itp_conv0", "itp_conv3"])
def test_published_loops(golden: Path, name: str) -> None:
    """The reference rounds the positions to float32 before each call and goes on from the rounded ones; ours do not."""
    data = np.load(golden / "morered_samplers.npz")
    sizes = torch.from_numpy(data["n_atoms"])
    batch = Batch({"item": torch.arange(len(sizes))}, {"atom": sizes})
    transport = Transport(DiscretePath(), Scripted(torch.from_numpy(data["noise_raw"]), sizes))
    calls, steps = [], []

    def denoise(x: torch.Tensor, t: torch.Tensor | None, condition: Batch) -> Output:
        k = len(calls)
        calls.append(k)
        pick = torch.cat([torch.nonzero(torch.from_numpy(data["idx_m"]) == item)[:, 0] for item in condition["item"]])
        time = condition.mean(torch.from_numpy(data["t_script"][k])[pick].clamp(0, 1)[:, None])[:, 0]
        steps.append({int(i): one for i, one in zip(condition["item"], time if t is None else t, strict=True)})
        return Output(torch.from_numpy(data["eps_script"][k])[pick], time)

    options = {"max_steps": 25, "convergence_step": int(name[-1]), "record_every": 1}
    sampler = MoreRedITP(**options) if name.startswith("itp") else MoreRedAdaptive(**options)
    samples = sampler.sample(denoise, transport, torch.from_numpy(data["x_start"]), batch, random=RANDOM)
    np.testing.assert_allclose(samples.x, data[f"{name}/x_final"], atol=1e-5)
    assert samples.trajectory is not None
    n_recorded = len(samples.trajectory)
    np.testing.assert_allclose(samples.trajectory, data[f"{name}/history_x"][:n_recorded], atol=1e-5)
    wanted = torch.from_numpy(data[f"{name}/num_steps"])
    assert torch.equal(samples.stopped["published"], wanted)
    assert torch.equal(samples.converged, wanted >= 0)
    if name.startswith("itp"):
        for k, seen in enumerate(steps[1:], 1):
            assert all(int(t) == data[f"{name}/history_t"][k, item] for item, t in seen.items())


def known_time(transport: Transport, batch: Batch) -> tuple[LinearGuess, torch.Tensor]:
    """White data, for which both the noise and the time can be told from the positions."""
    guess = LinearGuess(transport.path, VARIANCE)
    a, s = transport.path.at(torch.arange(transport.path.n_steps))
    return guess, a.square() * VARIANCE + s.square()


def test_noise_of_an_item_is_its_own_and_leaving_changes_nothing() -> None:
    """Molecules alone, together, in another order and layout end at the same place."""
    transport = Transport(DiscretePath(n_steps=60), CentredGaussian())
    batch = random_molecules([3, 7, 1, 5, 6], seed=4)

    def denoise(x: torch.Tensor, t: torch.Tensor | None, condition: Batch) -> Output:
        size = condition.mean(x.square().sum(-1, keepdim=True))[:, 0]
        time = torch.tanh(size) * torch.where(condition["item"] % 2 == 0, 0.1, 0.3)
        noise = torch.sin(x) + 0.1 * torch.tanh(x) * condition["z"][..., None]
        return Output(noise, time if t is None else t / 60)

    for sampler in (
        MoreRedAdaptive(max_steps=80, convergence_step=8),
        MoreRedAdaptive(max_steps=80, stop="robust", window=5, displacement=0.05, time_below=10),
        MoreRedITP(convergence_step=3),
    ):

        def run(condition: Batch, sampler: MoreRedAdaptive | MoreRedITP = sampler) -> Samples:
            return sampler.sample(denoise, transport, condition["pos"], condition, random=RANDOM)

        together = run(batch)
        assert len(together.n_steps.unique()) > 1, "all leave at once, so this shows nothing"
        parts = together.x.split(batch.sizes["atom"].tolist())
        for number in range(len(batch)):
            alone = run(batch.select(torch.tensor([number])))
            torch.testing.assert_close(alone.x, parts[number], atol=1e-6, rtol=0)
            assert alone.n_steps == together.n_steps[number]
        order = torch.tensor([4, 0, 3, 2, 1])
        padded = run(batch.select(order).to_layout("padded", 9))
        rows = batch.select(order).to_layout("padded", 9).rows(padded.x)
        torch.testing.assert_close(rows, torch.cat([parts[i] for i in order]), atol=1e-6, rtol=0)
        assert torch.equal(padded.converged, together.converged[order])


def test_white_data_are_relaxed_to_rest() -> None:
    """From any noise level the exact denoiser of narrow data, with the exact time, ends among the data."""
    transport = Transport(DiscretePath(), CentredGaussian())
    batch = random_molecules([12] * 40, seed=1)
    narrow = 1e-4
    guess = LinearGuess(transport.path, narrow)
    a, s = transport.path.at(torch.arange(1000))
    spread = a.square() * narrow + s.square()

    def denoise(x: torch.Tensor, t: torch.Tensor | None, condition: Batch) -> Output:
        found = condition.sum(x.double().square().sum(-1, keepdim=True))[:, 0] / (3 * (condition.sizes["atom"] - 1))
        step = torch.searchsorted(spread, found).clamp(max=999) if t is None else t
        return Output(guess(x, step, condition), step / 999)

    t = torch.arange(40) * 20
    start = transport.corrupt(0.01 * batch["pos"], t, batch, RANDOM).x_t
    for sampler in (MoreRedAdaptive(stop="robust"), MoreRedITP()):
        samples = sampler.sample(denoise, transport, start, batch, random=RANDOM)
        variance = batch.sum(samples.x.square().sum(-1, keepdim=True))[:, 0] / 33
        assert samples.converged.all()
        assert variance.max() < 0.03**2
        assert (samples.n_steps[1:] > samples.n_steps[0]).float().mean() > 0.9
        assert batch.mean(samples.x).abs().max() < 1e-9


def test_robust_rule_ends_where_the_published_one_never_does() -> None:
    """A predictor that is off by a few steps keeps molecules moving for ever under the published rule."""
    transport = Transport(DiscretePath(), CentredGaussian())
    batch = random_molecules([5, 6], seed=2)

    def denoise(x: torch.Tensor, t: torch.Tensor | None, condition: Batch) -> Output:
        return Output(0.0 * x, torch.full((len(condition),), 0.007))

    published = MoreRedAdaptive(max_steps=200).sample(denoise, transport, batch["pos"], batch, random=RANDOM)
    robust = MoreRedAdaptive(max_steps=200, stop="robust").sample(
        denoise, transport, batch["pos"], batch, random=RANDOM
    )
    assert not published.converged.any()
    assert (published.stopped["published"] == -1).all()
    assert (published.stopped["robust"] == 40).all()  # when it would have stopped, though not asked to
    assert robust.converged.all()
    assert (robust.n_steps == 41).all()


def test_no_molecule_is_done_while_its_time_falls_or_is_high() -> None:
    transport = Transport(DiscretePath(), CentredGaussian())
    batch = random_molecules([5, 5], seed=2)
    times = torch.tensor([0.3, 0.045])

    def denoise(x: torch.Tensor, t: torch.Tensor | None, condition: Batch) -> Output:
        nonlocal times
        now, times = times[condition["item"]], torch.stack([times[0], times[1] - 0.0005])
        return Output(torch.zeros_like(x), now)

    samples = MoreRedAdaptive(max_steps=85, stop="robust", displacement=1e-9).sample(
        denoise, transport, batch["pos"], batch, random=RANDOM
    )
    assert (samples.stopped["robust"] == -1).all()
    assert not samples.converged.any()


def test_broken_molecule_leaves_and_the_others_do_not_notice() -> None:
    transport = Transport(DiscretePath(n_steps=30), CentredGaussian())
    batch = random_molecules([4, 5, 6], seed=3)

    def denoise(x: torch.Tensor, t: torch.Tensor | None, condition: Batch) -> Output:
        bad = condition.spread(condition["item"] == 1)[..., None]
        return Output(torch.where(bad, torch.nan, torch.sin(x)), condition.mean(x.abs().sum(-1, keepdim=True))[:, 0])

    sampler = MoreRedAdaptive(max_steps=20)
    samples = sampler.sample(denoise, transport, batch["pos"], batch, random=RANDOM)
    rest = batch.select(torch.tensor([0, 2]))
    alone = sampler.sample(denoise, transport, rest["pos"], rest, random=RANDOM)
    assert samples.n_steps[1] == 1
    assert not samples.converged[1]
    parts = samples.x.split([4, 5, 6])
    torch.testing.assert_close(torch.cat([parts[0], parts[2]]), alone.x)


@pytest.mark.parametrize("option", [{"n_samples": 0}, {"max_steps": 0}, {"record_every": -1}])
@pytest.mark.parametrize("sampler", [MoreRedAdaptive, MoreRedITP])
def test_arguments_are_checked(sampler: type, option: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(option))):
        sampler(**option)


def test_unknown_rule_is_refused() -> None:
    with pytest.raises(ValueError, match="published, robust"):
        MoreRedAdaptive(stop="later")  # type: ignore[arg-type]
