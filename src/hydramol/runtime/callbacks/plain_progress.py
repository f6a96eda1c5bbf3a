"""Progress as plain lines, where there is no terminal."""

from __future__ import annotations

import logging
import time
from typing import Any

import pytorch_lightning as pl

log = logging.getLogger(__name__)


class PlainProgress(pl.Callback):
    """Logs a line at most every few seconds, and one after each validation.

    Args:
        every_s: Seconds between lines.
    """

    def __init__(self, every_s: float = 20.0) -> None:
        self.every_s = every_s
        self._last = time.monotonic()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Says where training is."""
        now = time.monotonic()
        if trainer.is_global_zero and now - self._last >= self.every_s:
            self._last = now
            log.info(
                "epoch %d/%s  batch %d/%s  %s",
                trainer.current_epoch + 1,
                trainer.max_epochs,
                batch_idx + 1,
                trainer.num_training_batches,
                _metrics(trainer, "train/"),
            )

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Says what validation found."""
        if trainer.is_global_zero and not trainer.sanity_checking:
            log.info("epoch %d/%s  %s", trainer.current_epoch + 1, trainer.max_epochs, _metrics(trainer, "val/"))


def _metrics(trainer: pl.Trainer, prefix: str) -> str:
    found = {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith(prefix)}
    return "  ".join(f"{name} {value:.4g}" for name, value in found.items())
