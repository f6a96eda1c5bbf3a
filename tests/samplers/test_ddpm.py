"""Ancestral sampling."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from hydramol.core.batch import Batch
from hydramol.core.protocols import Output
from hydramol.core.randomness import Randomness
from hydramol.samplers.ddpm import DDPM
from hydramol.transport.discrete_path import DiscretePath
from hydramol.transport.linear_guess import LinearGuess
from hydramol.transport.prior import CentredGaussian
from hydramol.transport.transport import Transport

RANDOM = Randomness(11, "sample")


def make(**options) -> Transport:
    return Transport(DiscretePath(**options), CentredGaussian())


def smooth(x, t, condition):
    """A pretended net: bounded, not linear, different for every element, and the same in both layouts."""
    return Output(torch.sin(x) + 0.1 * torch.tanh(x).roll(1, -1) * condition["z"][..., None].to(x.dtype))


def flat_items(count: int, size: int) -> Batch:
    return Batch({"item": torch.arange(count)}, {"atom": torch.full((count,), size)})


def test_published_loop(golden):
    """The reference rounds the positions to float32 before each call and goes on from the rounded ones; ours do not."""
    data = np.load(golden / "morered_samplers.npz")
    sizes = torch.from_numpy(data["n_atoms"])
    batch = Batch({"item": torch.arange(len(sizes))}, {"atom": sizes})
    noise = iter(data["noise_raw"])
    seen, times, script = [], [], iter(data["eps_script"])

    class Scripted(CentredGaussian):
        def draw(self, batch, random):
            return self.project(torch.from_numpy(next(noise)), batch)

    transport = Transport(DiscretePath(), Scripted())

    def denoise(x, t, condition):
        seen.append(x.numpy())
        times.append(transport.path.normalise(t).numpy())
        return Output(torch.from_numpy(next(script)))

    start = torch.from_numpy(data["x_start"])
    samples = DDPM(record_every=1).sample(denoise, transport, start, batch, t_start=20, random=RANDOM)
    np.testing.assert_allclose(samples.x, data["ddpm_from20/x_final"], atol=1e-5)
    np.testing.assert_allclose(seen, data["ddpm_from20/history_x"], atol=1e-5)
    np.testing.assert_allclose(samples.trajectory, data["ddpm_from20/history_x"], atol=1e-5)
    fed = [batch.spread(torch.from_numpy(time)).numpy() for time in times]
    assert np.array_equal(fed, data["ddpm_from20/t_fed_to_noise_model"])
    assert np.array_equal(samples.n_steps, data["ddpm_from20/num_steps"])
    assert samples.n_evals == 20


@pytest.mark.parametrize(("variance", "v"), [("lower_bound", 2.0), ("upper_bound", 0.3)])
def test_gaussian_data_are_reproduced(variance, v):
    """White data of variance v have a linear exact noise predictor; the chain from noise must end at variance v."""
    batch, transport = flat_items(1500, 5), make(variance=variance)
    guess = LinearGuess(transport.path, v)
    samples = DDPM().sample(lambda x, t, c: Output(guess(x, t, c)), transport, None, batch, random=RANDOM)
    assert samples.x.square().sum().item() / (1500 * 12) == pytest.approx(v, rel=0.03)  # 3 (n - 1) degrees of freedom
    assert batch.mean(samples.x).abs().max() < 1e-9


def test_fewer_steps_reproduce_gaussian_data():
    batch, transport = flat_items(3000, 5), make()
    guess = LinearGuess(transport.path, 1.5)
    samples = DDPM(max_steps=100).sample(lambda x, t, c: Output(guess(x, t, c)), transport, None, batch, random=RANDOM)
    assert samples.n_evals == 100
    assert samples.x.square().sum().item() / (3000 * 12) == pytest.approx(1.5, rel=0.1)


def test_spacing():
    assert DDPM().steps(5) == [4, 3, 2, 1, 0]
    assert DDPM(max_steps=5).steps(5) == [4, 3, 2, 1, 0]
    assert DDPM(max_steps=3).steps(1000) == [999, 499, 0]
    assert DDPM(max_steps=1).steps(300) == [299]
    for most in (2, 7, 333, 999):
        steps = DDPM(max_steps=most).steps(1000)
        assert len(set(steps)) == most
        assert steps == sorted(steps, reverse=True)


def test_a_full_count_of_steps_is_the_full_schedule(molecules):
    transport = make(n_steps=50)
    full = DDPM().sample(smooth, transport, None, molecules, random=RANDOM)
    capped = DDPM(max_steps=50).sample(smooth, transport, None, molecules, random=RANDOM)
    assert torch.equal(full.x, capped.x)


def test_centre_does_not_drift(molecules):
    def pushing(x, t, condition):
        return Output(torch.sin(x) + 5.0)  # a net whose output has a net force

    samples = DDPM().sample(pushing, make(), None, molecules, random=RANDOM)
    assert molecules.mean(samples.x).abs().max() < 1e-9
    assert samples.converged.all()


def test_same_seed_same_samples(molecules):
    transport, sampler = make(n_steps=30), DDPM()
    first, again = (sampler.sample(smooth, transport, None, molecules, random=RANDOM).x for _ in range(2))
    assert torch.equal(first, again)
    other = sampler.sample(smooth, transport, None, molecules, random=Randomness(12, "sample")).x
    assert (first - other).abs().max() > 0.1


def test_company_changes_nothing(molecules):
    transport, some = make(n_steps=30), torch.tensor([2, 0])
    together = DDPM().sample(smooth, transport, None, molecules, random=RANDOM).x
    part = molecules.select(some)
    apart = DDPM().sample(smooth, transport, None, part, random=RANDOM).x
    assert (apart - molecules.with_fields(pos=together).select(some)["pos"]).abs().max() < 1e-6


def test_layout_changes_nothing(molecules):
    transport, padded = make(n_steps=30), molecules.to_layout("padded", width=12)
    flat = DDPM(record_every=10).sample(smooth, transport, None, molecules, random=RANDOM)
    wide = DDPM(record_every=10).sample(smooth, transport, None, padded, random=RANDOM)
    assert (padded.rows(wide.x) - flat.x).abs().max() < 1e-6
    assert (wide.x[~padded.mask()] == 0).all()
    assert wide.trajectory.shape == (3, 3, 12, 3)


def test_net_sees_the_structure_of_the_current_step(molecules):
    """Each call gets the state that the previous step left, in float32, and its answer depends on it."""
    transport = make(n_steps=40)
    seen, states = [], []

    def denoise(x, t, condition):
        seen.append(x)
        return smooth(x, t, condition)

    DDPM().sample(denoise, transport, None, molecules, random=RANDOM, observer=lambda step, x: states.append((step, x)))
    assert [step for step, _ in states] == list(range(1, 41))
    for x, (_, state) in zip(seen[1:], states[:-1], strict=True):
        assert torch.equal(x, state.to(torch.float32))
    assert all((one - other).abs().max() > 0.01 for one, other in pairwise(seen))
    outputs = [smooth(x, None, molecules).x for x in seen]
    assert (outputs[0] - outputs[-1]).abs().max() > 0.1

    frozen = smooth(seen[0], None, molecules).x  # what a sampler that never refreshes its input would hear
    stuck = DDPM().sample(lambda x, t, c: Output(frozen), transport, None, molecules, random=RANDOM).x
    assert (stuck - states[-1][1]).abs().max() > 0.1


def test_a_chain_can_be_continued(molecules):
    transport = make(n_steps=40)
    states = {}
    DDPM().sample(smooth, transport, None, molecules, random=RANDOM, observer=states.__setitem__)
    rest = DDPM().sample(smooth, transport, states[25], molecules, t_start=15, random=RANDOM)
    assert (rest.x - states[40]).abs().max() < 1e-9
    assert (rest.n_steps == 15).all()


def test_a_broken_molecule_is_told(molecules):
    def denoise(x, t, condition):
        return Output(torch.where(condition.spread(condition["item"] == 1)[..., None], float("nan"), torch.sin(x)))

    samples = DDPM().sample(denoise, make(n_steps=5), None, molecules, random=RANDOM)
    assert samples.converged.tolist() == [True, False, True]


def test_bad_arguments(molecules):
    for options in ({"n_samples": 0}, {"max_steps": 0}, {"record_every": -1}):
        with pytest.raises(ValueError, match=next(iter(options))):
            DDPM(**options)
    for start, t_start in ((molecules["pos"], 0), (molecules["pos"], 51), (molecules["pos"], 0.5), (None, 10)):
        with pytest.raises(ValueError, match="t_start"):
            DDPM().sample(smooth, make(n_steps=50), start, molecules, t_start=t_start, random=RANDOM)
