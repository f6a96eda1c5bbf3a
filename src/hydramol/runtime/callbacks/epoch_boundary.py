"""Checkpoints written at any moment resume as if nothing had happened."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch

KEY = "epoch_boundary"
"""What this callback adds to a checkpoint: the last metrics, and whether the epoch had come to its end."""


class EpochBoundary(pl.Callback):
    """Brings the trainer's progress into states from which it continues rightly.

    What goes wrong in Lightning's own (2.6): a checkpoint of the step before a validation resumes without it; one of
    the last step of an epoch resumes without the epoch's end, and later checkpoints of that run lose validations too;
    in training limited by steps one written at the end of an epoch ends it twice; metrics of the last validation are
    gone, so that early stopping raises; a schedule that waits for a metric misses the first epoch's; gradients gathered
    since the last optimiser step are gone too; and whether an epoch is over is decided by the length of the epoch to
    come, which with a plan by cost is another one.
    """

    def __init__(self) -> None:
        super().__init__()
        self._resumed: dict[str, Any] | None = None

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Tells what moment it is, and notes it in counters that Lightning reads rightly."""
        loops = checkpoint["loops"]["fit_loop"]
        epoch, batch = loops["epoch_progress"], loops["epoch_loop.batch_progress"]
        ended = epoch["current"]["processed"] == epoch["current"]["started"]
        metrics = {name: torch.as_tensor(value).cpu() for name, value in trainer.callback_metrics.items()}
        checkpoint[KEY] = {"metrics": metrics, "ended": ended}

        validation = loops["epoch_loop.val_loop.batch_progress"]
        _set(validation["total"], validation["total"]["completed"])
        loop, fetcher = trainer.fit_loop.epoch_loop, trainer.fit_loop._data_fetcher
        gathered = 0 if batch["is_last_batch"] else batch["current"]["ready"] % trainer.accumulate_grad_batches
        if ended:
            if trainer.max_steps != -1:
                _begin_next(loops)
        elif gathered:
            _rewind(loops, gathered, trainer.val_check_batch)
        elif not trainer.validating and loop._should_check_val_fx(fetcher):  # type: ignore[arg-type]
            _await_validation(loops)
        elif batch["is_last_batch"]:
            _finish(batch)

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Sets the batch counter of a finished epoch to the length of the next one, before the loops read it."""
        self._resumed = checkpoint.get(KEY)
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        position = checkpoint.get("DataModule")
        progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        if position is None or not progress["is_last_batch"]:
            return
        count = data.n_batches(position["epoch"] + 1)
        interval = trainer.val_check_interval
        if isinstance(interval, int | float):
            # Lightning finds by this remainder that a validation is due, or was just done.
            count -= count % (interval if isinstance(interval, int) else max(1, int(count * interval)))
        current = progress["current"]
        behind = {name: current["ready"] - value for name, value in current.items()}  # what was not yet counted
        current.update({name: count - lag for name, lag in behind.items()})

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Gives back the metrics, and sees to it that schedules which wait for them get every epoch's."""
        if self._resumed is None:
            return
        trainer.callback_metrics.update(self._resumed["metrics"])
        if self._resumed["ended"]:  # Lightning saves there before it updates such schedules
            trainer.fit_loop.epoch_loop.update_lr_schedulers("epoch", update_plateau_schedulers=True)
        trainer.fit_loop._restarting = False  # it would leave out the update at the end of the first epoch
        self._resumed = None


def _begin_next(loops: dict[str, Any]) -> None:
    """An epoch that ended is completed, and no batch of the next one was taken."""
    _finish(loops["epoch_progress"])
    _set(loops["epoch_loop.batch_progress"]["current"], 0)
    loops["epoch_loop.batch_progress"]["is_last_batch"] = False
    loops["epoch_loop.state_dict"]["_batches_that_stepped"] -= 1  # the loop's first act is to add it


def _rewind(loops: dict[str, Any], gathered: int, val_check_batch: float | None) -> None:
    """Goes back to the last optimiser step, as `DataModule.state_dict` does."""
    batch = loops["epoch_loop.batch_progress"]
    for counter in (batch["total"], batch["current"]):
        _set(counter, counter["ready"] - gathered)
    if val_check_batch is not None and batch["current"]["ready"] % val_check_batch == 0:
        loops["epoch_loop.state_dict"]["_batches_that_stepped"] -= 1  # the loop's first act is to add it


def _await_validation(loops: dict[str, Any]) -> None:
    """The batch is done, and its validation counts as begun and not ended: it is run again from its start."""
    _finish(loops["epoch_loop.batch_progress"])
    validation = loops["epoch_loop.val_loop.batch_progress"]
    validation["total"].update(ready=1, started=1, processed=0, completed=0)
    _set(validation["current"], 0)
    validation["is_last_batch"] = False


def _finish(progress: dict[str, Any]) -> None:
    """What was processed counts as completed."""
    for counter in (progress["total"], progress["current"]):
        counter["completed"] = counter["processed"]


def _set(counter: dict[str, int], value: int) -> None:
    counter.update(dict.fromkeys(counter, value))
