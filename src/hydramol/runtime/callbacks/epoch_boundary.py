"""Checkpoints written at the very last batch of an epoch, where epochs differ in length."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl


class EpochBoundary(pl.Callback):
    """Tells a resumed trainer that the epoch it was stopped in is over.

    Lightning decides that by comparing the batches it had taken with the length of the loader it is given, which is
    that of the epoch to come. A plan by cost has another number of batches each epoch, so the counter is set to the
    new length where the position says that all of the old epoch was delivered.
    """

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Adjusts the stored counters before the loops read them."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        position = checkpoint.get("DataModule")
        progress = checkpoint["loops"]["fit_loop"]["epoch_loop.batch_progress"]
        if position is None or not progress["is_last_batch"]:
            return
        count = data.n_batches(position["epoch"] + 1)
        current = progress["current"]
        behind = {name: current["ready"] - value for name, value in current.items()}  # what was not yet counted
        current.update({name: count - lag for name, lag in behind.items()})
