"""Checkpoints written at any moment resume as if nothing had happened."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch


class EpochBoundary(pl.Callback):
    """Brings the trainer's progress into states from which it continues rightly.

    What goes wrong in Lightning's own (2.6): a checkpoint of the step before a validation resumes without it; one of
    the last step of an epoch resumes without the epoch's end, and later checkpoints of that run lose validations too;
    in training limited by steps one written at the end of an epoch ends it twice; metrics of the last validation are
    gone, so that early stopping raises; gradients gathered since the last optimiser step are gone too; and whether an
    epoch is over is decided by the length of the epoch to come, which with a plan by cost is another one.
    """

    def __init__(self) -> None:
        super().__init__()
        self._state: dict[str, Any] = {"metrics": {}, "epoch_is_over": False}

    def state_dict(self) -> dict[str, Any]:
        """What `on_save_checkpoint` found: the last metrics, and whether only the epoch's end is left to do."""
        return self._state

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keeps it until training starts."""
        self._state = dict(state_dict)

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Tells what moment it is, and notes it in counters that Lightning reads rightly."""
        self._state = {
            "metrics": {name: torch.as_tensor(value).cpu() for name, value in trainer.callback_metrics.items()},
            "epoch_is_over": False,
        }
        loops = checkpoint["loops"]["fit_loop"]
        epoch, batch = loops["epoch_progress"], loops["epoch_loop.batch_progress"]
        validation, own = loops["epoch_loop.val_loop.batch_progress"], loops["epoch_loop.state_dict"]
        _set(validation["total"], validation["total"]["completed"])
        if epoch["current"]["processed"] == epoch["current"]["started"]:  # the end of an epoch
            if trainer.max_steps != -1:
                _finish(epoch)
                _set(batch["current"], 0)
                batch["is_last_batch"] = False
                own["_batches_that_stepped"] -= 1  # the loop's first act is to add it
            return
        gathered = 0 if batch["is_last_batch"] else batch["current"]["ready"] % trainer.accumulate_grad_batches
        if gathered:  # `DataModule.state_dict` goes back to the last optimiser step as well
            for counter in (batch["total"], batch["current"]):
                _set(counter, counter["ready"] - gathered)
            if batch["current"]["ready"] % trainer.val_check_batch == 0:
                own["_batches_that_stepped"] -= 1
            return
        due = trainer.fit_loop.epoch_loop._should_check_val_fx(trainer.fit_loop._data_fetcher)  # type: ignore[arg-type]
        if due and not trainer.validating:
            _finish(batch)
            # A validation that has begun and not ended is run again from its start.
            validation["total"].update(ready=1, started=1, processed=0, completed=0)
            _set(validation["current"], 0)
            validation["is_last_batch"] = False
        elif batch["is_last_batch"]:
            _finish(batch)
            self._state["epoch_is_over"] = True

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Sets the batch counter of a finished epoch to the length of the next one, before the loops read it."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        position = checkpoint.get("DataModule")
        progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        if position is None or not progress["is_last_batch"]:
            return
        count = data.n_batches(position["epoch"] + 1)
        interval = trainer.val_check_interval
        if isinstance(interval, float):
            count -= count % max(1, int(count * interval))  # a validation that is due is found by this remainder
        current = progress["current"]
        behind = {name: current["ready"] - value for name, value in current.items()}  # what was not yet counted
        current.update({name: count - lag for name, lag in behind.items()})

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Gives back the metrics; where the epoch is over, the loop is told that nothing is left to validate."""
        trainer.callback_metrics.update(self._state["metrics"])
        if self._state["epoch_is_over"]:
            trainer.fit_loop.epoch_loop.val_loop._has_run = True


def _finish(progress: dict[str, Any]) -> None:
    """What was processed counts as completed."""
    for counter in (progress["total"], progress["current"]):
        counter["completed"] = counter["processed"]


def _set(counter: dict[str, int], value: int) -> None:
    counter.update(dict.fromkeys(counter, value))
