"""Puts configuration, statistics and versions into every checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch

from hydramol.runtime.checkpoint import contents


class CarryConfig(pl.Callback):
    """Makes checkpoints self-contained.

    Args:
        config: The composed and resolved configuration as plain containers.
        statistics: Statistics of the training split.
    """

    def __init__(self, config: Mapping[str, Any], statistics: Mapping[str, torch.Tensor]) -> None:
        self.config = config
        self.statistics = statistics

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Adds the "hydramol" entry."""
        checkpoint["hydramol"] = contents(self.config, self.statistics)
