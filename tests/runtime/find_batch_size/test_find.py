"""From a cap to the configuration: right values for each plan, refusals in one line, and what a trial measures."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from hydramol.core.errors import ConfigError
from hydramol.runtime.assemble import assemble_data, describe
from hydramol.runtime.compose import compose, to_plain
from hydramol.runtime.find_batch_size import find, with_found_batch_size
from hydramol.runtime.find_batch_size.trial import Trial

TINY = [
    "experiment=null", "net=edge_transformer_small", "net.n_layers=1", "net.width=16", "net.n_rbf=8",
    "data.max_heavy_atoms=3", "data.train_size=12", "data.valid_size=2", "data.test_size=2", "trainer.accelerator=cpu",
]  # fmt: skip


def config(*overrides: str) -> dict[str, Any]:
    return to_plain(compose("train", [*TINY, *overrides]))


class FakeTrials:
    """A step needs 1 GB a molecule, and 1 GB besides."""

    def __init__(self, config: Mapping[str, Any], statistics: Mapping[str, Any], cap: float) -> None:
        assert "position_variance" in statistics
        self.cap = cap

    def __enter__(self) -> FakeTrials:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def peak(self, batches: Sequence[np.ndarray]) -> float | None:
        needed = (1 + max(len(items) for items in batches)) * find.GB
        return needed if needed <= self.cap else None


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(find, "Trials", FakeTrials)


@pytest.mark.parametrize(
    ("cap", "overrides", "batch_size"),
    [
        (8, [], 7),
        (8.5, ["batching=random"], 7),
        (6, ["data.n_views=2"], 10),  # five molecules, two views each
        (1000, [], 12),  # never more than the training split
    ],
)
def test_batch_size(fake, caplog, cap: float, overrides: list[str], batch_size: int) -> None:
    given = config(*overrides, f"find_batch_size.memory_gb={cap}")
    with caplog.at_level(logging.INFO):
        found = with_found_batch_size(given)
    assert found == {**given, "batching": {**given["batching"], "batch_size": batch_size}}
    said = caplog.messages[-1]
    assert f"batching.batch_size={batch_size}" in said
    assert "\n" not in said
    assemble_data(found)


def test_cost_of_a_plan_by_cost(fake) -> None:
    """A budget that lets 7 molecules into any batch: of the smallest ones, for they are the most."""
    given = config("batching=cubic_cost", "find_batch_size.memory_gb=8")
    found = with_found_batch_size(given)
    assert {**found["batching"], "max_cost": 0} == {**given["batching"], "max_cost": 0}
    data = assemble_data(found)
    longest = [len(batch.items) for epoch in range(5) for batch in data.plan("train").batches(epoch)]
    assert max(longest) <= 7


def test_nothing_is_done_without_a_cap() -> None:
    given = config()
    assert with_found_batch_size(given) is given
    stored = {name: value for name, value in given.items() if name != "find_batch_size"}  # by an older version
    assert with_found_batch_size(stored) is stored


@pytest.mark.parametrize(
    ("overrides", "what"),
    [
        (["find_batch_size.memory_gb=1.5"], "one molecule needs more"),
        (["find_batch_size.memory_gb=0"], "must be a positive number"),
        (["find_batch_size.memory_gb=true"], "must be a positive number"),
        (["find_batch_size.memory_gb=much"], "must be a positive number"),
        (["find_batch_size.memory_gb=8", "trainer.devices=2"], "one process"),
        (["find_batch_size.memory_gb=8", "trainer.num_nodes=2"], "one process"),
    ],
)
def test_refusals(fake, overrides: list[str], what: str) -> None:
    with pytest.raises(ConfigError, match=what) as caught:
        with_found_batch_size(config(*overrides))
    assert caught.value.exit_code == 2
    assert "find_batch_size" in caught.value.line


def test_a_plan_without_such_a_value(fake) -> None:
    given = config("find_batch_size.memory_gb=8")
    with pytest.raises(ConfigError, match="neither batch_size nor max_cost"):
        with_found_batch_size({**given, "batching": {"_target_": "fake_parts.Plan"}})


# --- what is measured ------------------------------------------------------------------------------------------------


def trial(*overrides: str) -> Trial:
    given = config(*overrides)
    return Trial(given, describe(given, assemble_data(given)))


def test_a_trial_trains_on_given_batches_as_the_run_would(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the optimiser, the views and the averaged weights of the run, twice each batch; it leaves no file behind."""
    monkeypatch.chdir(tmp_path)
    seen: list[tuple[list[int], int]] = []
    from hydramol.models.morered import MoreRed

    own = MoreRed.training_step

    def training_step(self: MoreRed, batch: Any, batch_idx: int) -> torch.Tensor:
        adam = self.optimizers().optimizer
        seen.append((sorted(batch["item"].tolist()), len(adam.state)))
        names = [type(callback).__name__ for callback in self.trainer.callbacks]
        assert "EMAWeightAveraging" in names
        assert not {"ModelCheckpoint", "RunSummary"} & set(names)
        return own(self, batch, batch_idx)

    monkeypatch.setattr(MoreRed, "training_step", training_step)
    one = trial("data.n_views=2", "scheduler=reduce_on_plateau", "trainer.accumulate_grad_batches=4", "logger=csv")
    peak = one.peak(((0, 3), (1,)))
    items = one.data.indices("train")
    first, second = sorted([items[0], items[3]] * 2), [items[1]] * 2
    assert [batch for batch, _ in seen] == [first, first, second, second]
    n_parameters = seen[-1][1]
    assert n_parameters > 0
    assert [states for _, states in seen] == [0, n_parameters, n_parameters, n_parameters]
    assert peak is not None
    assert peak > 50 * 2**20
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't")]
)
def test_no_memory_is_an_answer(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    one = trial()

    def fails(plan: Any) -> None:
        raise error

    monkeypatch.setattr(one, "_train", fails)
    assert one.peak(((0,),)) is None


def test_other_errors_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    one = trial()

    def fails(plan: Any) -> None:
        raise RuntimeError("shapes do not match")

    monkeypatch.setattr(one, "_train", fails)
    with pytest.raises(RuntimeError, match="shapes"):
        one.peak(((0,),))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_peak_on_a_gpu_grows_and_falls_with_the_batch() -> None:
    one = trial("trainer.accelerator=gpu")
    small, large, again = one.peak(((0,),)), one.peak((tuple(range(12)),)), one.peak(((0,),))
    assert small == again
    assert large > small
