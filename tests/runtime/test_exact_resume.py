"""A run that is stopped after any optimiser step and resumed is, bit for bit, the run that was never stopped."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping, EMAWeightAveraging, ModelCheckpoint

from hydramol.data.batching import BucketPlan, CostPlan, RandomPlan
from hydramol.data.datamodule import DataModule
from hydramol.data.flat_molecules import FlatMolecules
from hydramol.data.transforms import Center, Flip, Pad, Rotate
from hydramol.models.morered import MoreRed
from hydramol.nets.edge_transformer import EdgeTransformer
from hydramol.nets.time_input import TimeInput
from hydramol.runtime.callbacks import CarryConfig, EpochBoundary, StepSeed
from hydramol.runtime.callbacks.epoch_boundary import KEY
from hydramol.runtime.checkpoint import SafeCheckpointIO, load_file
from hydramol.runtime.schedulers import cosine_warmup, reduce_on_plateau
from hydramol.transport.discrete_path import DiscretePath
from hydramol.transport.prior import CentredGaussian
from hydramol.transport.transport import Transport
from tests.conftest import random_molecules

SEED = 3
EPOCHS = 3
# The cost plan makes 8, 9 and 8 batches of its epochs here.
PLANS = {
    "random": partial(RandomPlan, batch_size=3),
    "bucket": partial(BucketPlan, batch_size=3, window=2),
    "cost": partial(CostPlan, max_cost=300, power=3, window_items=8),
}


def make_data(plan: str, num_workers: int) -> DataModule:
    sizes = [3, 5, 4, 6, 2, 5, 3, 4, 6, 5, 3, 4, 5, 2, 6, 4, 5, 3, 4, 5]
    batch = random_molecules(sizes, seed=1)
    dataset = FlatMolecules(
        batch["z"].numpy(), batch["pos"].numpy(), batch.sizes["atom"].numpy(),
        splits={"train": np.arange(16), "val": np.arange(16, 18), "test": np.arange(18, 20)},
    )  # fmt: skip
    return DataModule(
        dataset,
        PLANS[plan](),
        {"center": Center(), "rotate": Rotate(), "flip": Flip()},
        {"pad": Pad()},
        seed=SEED,
        n_views=1,
        num_workers=num_workers,
    )


@dataclass
class Record(pl.Callback):
    """Keeps the loss of every micro-batch by its key, and all that happens in its order."""

    losses: dict[tuple[int, int], float] = field(default_factory=dict)
    events: list[tuple[Any, ...]] = field(default_factory=list)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.losses[batch.key] = outputs["loss"].item()
        self._happened(trainer, "batch", batch.key)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._happened(trainer, "validation", float(trainer.callback_metrics["val/loss"]))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._happened(trainer, "epoch", trainer.current_epoch)

    def _happened(self, trainer: pl.Trainer, what: str, value: Any) -> None:
        self.events.append((what, value, trainer.global_step, trainer.fit_loop.epoch_loop._batches_that_stepped))


def train(
    folder: Path,
    plan: str,
    num_workers: int,
    accumulate: int,
    resume: Path | None = None,
    interval: float = 0.5,
    max_steps: int = -1,
    scheduler: Any = None,
) -> tuple[Record, dict[str, Any]]:
    """Trains in a folder, saving after every step, validation and epoch; returns its record and the last checkpoint."""
    data = make_data(plan, num_workers)
    statistics = data.dataset.statistics(data.indices("train"))
    torch.manual_seed(0 if resume is None else 99)  # initial weights and generator state must not matter on resume
    net = EdgeTransformer(n_layers=1, width=16, n_heads=2, n_rbf=8, n_direction=4, dropout=0.2, time=TimeInput())
    model = MoreRed(
        net,
        Transport(DiscretePath(), CentredGaussian(), stratified=True),
        optimizer=partial(torch.optim.AdamW, lr=1e-3),
        scheduler=scheduler or partial(cosine_warmup, warmup=0.2),
        statistics=statistics,
        seed=SEED,
    )
    record = Record()
    trainer = pl.Trainer(
        max_epochs=EPOCHS if max_steps == -1 else -1,
        max_steps=max_steps,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        inference_mode=False,
        accumulate_grad_batches=accumulate,
        gradient_clip_val=0.5,
        val_check_interval=interval,
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
        plugins=[SafeCheckpointIO()],
        callbacks=[
            StepSeed(SEED),
            EMAWeightAveraging(decay=0.9, use_buffers=False),
            record,
            CarryConfig({}, statistics),
            EpochBoundary(),
            EarlyStopping("val/loss", patience=100),
            ModelCheckpoint(folder, filename="{step}", save_top_k=-1, every_n_train_steps=1),
            ModelCheckpoint(folder, filename="validated-{step}", monitor="val/loss", save_top_k=-1),
            ModelCheckpoint(folder, filename="epoch-{step}", save_top_k=-1, save_on_train_epoch_end=True),
        ],
    )
    trainer.fit(model, datamodule=data, ckpt_path=None if resume is None else str(resume), weights_only=True)
    trainer.save_checkpoint(folder / "final.ckpt")
    return record, load_file(folder / "final.ckpt")


def step_of(path: Path) -> int:
    return int(path.stem.split("=")[1])


def assert_same(found: Any, wanted: Any, where: str) -> None:
    """Exact equality of nested containers of tensors."""
    if isinstance(wanted, torch.Tensor):
        assert torch.equal(found, wanted), where
    elif isinstance(wanted, dict):
        assert found.keys() == wanted.keys(), where
        for name in wanted:
            assert_same(found[name], wanted[name], f"{where}.{name}")
    elif isinstance(wanted, list | tuple):
        assert len(found) == len(wanted), where
        for number, (one, other) in enumerate(zip(found, wanted, strict=True)):
            assert_same(one, other, f"{where}[{number}]")
    else:
        assert found == wanted, where


@pytest.mark.run
@pytest.mark.filterwarnings("ignore:The dirpath has changed")
@pytest.mark.parametrize(
    ("plan", "accumulate", "first", "second"),
    [
        ("bucket", 1, 0, 2),
        ("bucket", 1, 2, 0),
        ("bucket", 3, 0, 2),
        ("bucket", 3, 2, 0),
        ("random", 3, 0, 0),
        ("cost", 1, 0, 0),
        ("cost", 3, 0, 0),
    ],
)
def test_every_step_resumes_bit_for_bit(
    tmp_path: Path, plan: str, accumulate: int, first: int, second: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Workers: ``first`` in the whole run, ``second`` in the resumed one."""
    caplog.set_level(logging.ERROR)
    whole, final = train(tmp_path / "whole", plan, first, accumulate)
    losses = whole.losses
    epochs = [epoch for epoch, _ in losses]
    assert set(epochs) == set(range(EPOCHS))
    saved = sorted((tmp_path / "whole").glob("step=*.ckpt"), key=step_of)
    assert len(saved) >= EPOCHS * (epochs.count(0) // accumulate)
    for path in saved[:-1]:
        again, ended = train(tmp_path / path.stem, plan, second, accumulate, resume=path)
        position = load_file(path)["DataModule"]
        expected = {key: value for key, value in losses.items() if key >= (position["epoch"], position["delivered"])}
        assert again.losses == expected, path.name
        assert_same(ended["state_dict"], final["state_dict"], f"{path.name}: averaged weights")
        assert_same(ended["current_model_state"], final["current_model_state"], f"{path.name}: weights")
        assert_same(ended["optimizer_states"], final["optimizer_states"], f"{path.name}: optimiser")


@pytest.mark.run
@pytest.mark.filterwarnings("ignore:The dirpath has changed")
@pytest.mark.parametrize(
    ("plan", "accumulate", "interval", "max_steps", "scheduler"),
    [
        ("bucket", 1, 1.0, -1, partial(reduce_on_plateau, patience=0, cooldown=0)),
        ("cost", 1, 0.5, -1, None),
        ("cost", 3, 0.5, -1, None),
        ("bucket", 1, 1.0, 17, partial(reduce_on_plateau, patience=0, cooldown=0)),
    ],
)
def test_runs_resumed_twice_do_all_that_is_due(
    tmp_path: Path,
    plan: str,
    accumulate: int,
    interval: float,
    max_steps: int,
    scheduler: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whenever stopped, at a step, in a validation or at an epoch end, all validations and epoch ends follow."""
    caplog.set_level(logging.ERROR)

    def run(folder: Path, resume: Path | None = None) -> tuple[Record, dict[str, Any]]:
        return train(folder, plan, 0, accumulate, resume, interval, max_steps, scheduler)

    def unfinished(folder: Path) -> list[Path]:
        paths = sorted(folder.glob("*step=*.ckpt"), key=step_of)
        return [path for path in paths if step_of(path) < final["global_step"]]

    def resumes_exactly(path: Path) -> Path:
        folder = path.with_suffix("")
        again, ended = run(folder, path)
        assert again.events, folder
        assert again.events == whole.events[-len(again.events) :], folder
        for part in ("state_dict", "lr_schedulers", "optimizer_states"):
            assert_same(ended[part], final[part], f"{folder}: {part}")
        assert_same(ended[KEY], final[KEY], f"{folder}: metrics")
        return folder

    whole, final = run(tmp_path / "whole")
    assert [event[0] for event in whole.events].count("epoch") == EPOCHS
    for number, path in enumerate(unfinished(tmp_path / "whole")):
        folder = resumes_exactly(path)
        for again in unfinished(folder)[number % 9 :: 9]:
            resumes_exactly(again)
