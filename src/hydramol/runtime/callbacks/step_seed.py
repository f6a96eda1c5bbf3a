"""Dropout and everything else that reads torch's own generator: seeded anew before each micro-batch."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch

from hydramol.core.randomness import seed_of


class StepSeed(pl.Callback):
    """Seeds torch from (seed, epoch, number of the batch, rank), so that a resumed run draws what it would have drawn.

    Args:
        seed: The run's seed.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seeds the generators of all devices."""
        torch.manual_seed(seed_of(self.seed, "step", *batch.key, trainer.global_rank))
