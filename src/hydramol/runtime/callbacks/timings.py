"""Where the time of a run goes before and while it trains."""

from __future__ import annotations

import statistics
import time
from typing import Any

import pytorch_lightning as pl


class PhaseTimings(pl.Callback):
    """Times the phases of a run, in seconds: first_batch (loader and workers), first_step (with compilation, if any),
    step (median of the later ones), validation (all), and fit (all).

    Phases before the trainer begins (data, build) are put into `seconds` by the run itself.
    """

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._steps: list[float] = []
        self._mark = time.perf_counter()
        self._fit = self._mark

    def _lap(self) -> float:
        now = time.perf_counter()
        lap, self._mark = now - self._mark, now
        return lap

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Starts the clock."""
        self._lap()
        self._fit = self._mark

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """The batch has arrived."""
        waited = self._lap()
        self.seconds.setdefault("first_batch", waited)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """The step is done."""
        lap = self._lap()
        if "first_step" in self.seconds:
            self._steps.append(lap)
        self.seconds.setdefault("first_step", lap)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Validation begins."""
        self._lap()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Validation ends."""
        self.seconds["validation"] = self.seconds.get("validation", 0.0) + self._lap()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Training ends."""
        self.seconds["fit"] = time.perf_counter() - self._fit
        if self._steps:
            self.seconds["step"] = statistics.median(self._steps)
