"""The task draws what it is asked for, whatever the batches, and its numbers mean what they say."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from hydramol.core.batch import Batch
from hydramol.core.protocols import Output
from hydramol.core.randomness import Randomness
from hydramol.samplers.ddpm import DDPM
from hydramol.tasks.generate import Generate, compositions, one_batch, spread
from hydramol.transport.discrete_path import DiscretePath
from hydramol.transport.linear_guess import LinearGuess
from hydramol.transport.prior import CentredGaussian
from hydramol.transport.transport import Transport
from tests.conftest import random_molecules

STATISTICS = {
    "composition_z": torch.tensor([6, 1, 1, 1, 1, 8, 1, 1, 7, 1, 1, 1]),
    "composition_sizes": torch.tensor([5, 3, 4]),
    "composition_counts": torch.tensor([10, 30, 60]),
    "reference_z": torch.tensor([8, 1, 1]),
    "reference_pos": torch.tensor([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]]),
    "reference_sizes": torch.tensor([3]),
}


def model() -> SimpleNamespace:
    return SimpleNamespace(
        denoise=lambda x, t, condition: Output(0.3 * x),
        transport=Transport(DiscretePath(n_steps=50), CentredGaussian()),
        sampler=DDPM(n_samples=7, max_steps=5),
        statistics=STATISTICS,
        device=torch.device("cpu"),
    )


def test_compositions_are_as_frequent_as_in_the_data() -> None:
    drawn = compositions(STATISTICS, 4000, Randomness(0, "test"))
    share = torch.stack([(drawn.sizes["atom"] == size).double().mean() for size in (5, 3, 4)])
    assert torch.allclose(share, torch.tensor([0.1, 0.3, 0.6], dtype=torch.float64), atol=0.03)
    water = drawn.select(drawn.sizes["atom"] == 3)
    assert water["z"].view(-1, 3).unique(dim=0).tolist() == [[8, 1, 1]]


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_batch_size_changes_no_structure(batch_size: int) -> None:
    whole = Generate(batch_size=7).sample(model(), Randomness(0, "sample")).structures["generated.extxyz"]
    cut = Generate(batch_size=batch_size).sample(model(), Randomness(0, "sample")).structures["generated.extxyz"]
    one, other = whole.structures["generated"], cut.structures["generated"]
    assert torch.equal(one["z"], other["z"])
    assert torch.allclose(one["pos"], other["pos"], atol=1e-6)


def test_same_seed_same_samples_and_another_seed_others() -> None:
    def draw(seed: int) -> torch.Tensor:
        found = Generate().sample(model(), Randomness(seed, "sample")).structures["generated.extxyz"]
        return found.structures["generated"]["pos"]

    assert torch.equal(draw(0), draw(0))
    assert draw(0).shape != draw(1).shape or not torch.allclose(draw(0), draw(1))


def test_results_stand_beside_those_of_real_structures() -> None:
    results = Generate().sample(model(), Randomness(0, "sample")).results
    assert results.scalars["data_molecule_stable"] == 1.0
    assert "generated_valid" in results.scalars
    assert [section.heading for section in results.sections][-1] == "Distances and angles"


def test_spread_takes_all_sizes() -> None:
    batches = [random_molecules([n] * 4, seed=n) for n in (2, 3, 4, 5, 6)]
    batches = [batch.with_fields(item=batch["item"] + 4 * k) for k, batch in enumerate(batches)]
    taken = spread(batches, 5, 2)
    assert [len(batch) for batch in taken] == [2, 2, 1]
    assert one_batch(taken).sizes["atom"].tolist() == [2, 3, 4, 5, 6]
    assert len(one_batch(spread(batches, 99, 8))) == 20


def test_one_batch_joins_layouts() -> None:
    flat = random_molecules([3, 4])
    joined: Batch = one_batch([flat.to_layout("padded"), flat])
    assert torch.equal(joined["pos"], torch.cat([flat["pos"], flat["pos"]]))


@pytest.mark.parametrize("n_likelihood", [0, 3])
def test_likelihood_is_bounded_where_asked_for(n_likelihood: int) -> None:
    asked = model()
    asked.linear_guess = LinearGuess(asked.transport.path, 1.5)
    asked.denoise = lambda x, t, condition: Output(asked.linear_guess(x, t, condition))
    asked.time_head = None
    data = SimpleNamespace(loader=lambda split: [random_molecules([3, 4]), random_molecules([5, 6], seed=1)])
    results = [
        Generate([5], n_denoised=0, batch_size=size, n_likelihood=n_likelihood)
        .evaluate(asked, data, "val", Randomness(0, "evaluate"))
        .results
        for size in (1, 8)
    ]
    for one in results:
        assert any("Likelihood" in section.heading for section in one.sections) == bool(n_likelihood)
        if n_likelihood:
            assert one.scalars["nll_nats"] == pytest.approx(results[0].scalars["nll_nats"], rel=1e-5)
            # This model is the linear guess.
            assert one.scalars["nll_nats"] == pytest.approx(one.scalars["nll_nats_linear"], rel=1e-5)
            assert one.scalars["nll_nats"] > 0


def test_recorded_frames_become_trajectories():
    task, fake = Generate(batch_size=3), model()
    fake.sampler.record_every = 2
    outcome = task.sample(fake, Randomness(0, "sample"))
    frames = outcome.structures["trajectories.extxyz"].structures["generation"]
    assert len(frames) == 4  # before steps 0, 2 and 4 of five, and the result
    generated = outcome.structures["generated.extxyz"].structures["generated"]
    assert torch.equal(frames[-1]["pos"], generated["pos"])
    assert not torch.equal(frames[0]["pos"], frames[1]["pos"])
    assert all(torch.equal(frame["z"], generated["z"]) for frame in frames)
    assert [one.file for part in outcome.results.sections for one in part.structures] == ["trajectories.extxyz"]
    fake.sampler.record_every = 0
    assert list(task.sample(fake, Randomness(0, "sample")).structures) == ["generated.extxyz"]
