"""One broken batch must not end a run of days."""

from __future__ import annotations

import logging
import math

import pytorch_lightning as pl
import torch
from torch.optim import Optimizer

log = logging.getLogger(__name__)


class SkipSteps(pl.Callback):
    """Leaves out optimiser steps whose gradient is not finite or far too long to be true.

    Clipping keeps such a step short but not right: it points where a single molecule with exploding features points,
    and the averages of Adam remember it. The gradient is judged after it was averaged over processes, so all skip
    alike. ``train/skipped_steps`` counts them.

    Args:
        above: Norm of the whole gradient, before clipping, from which on a step is left out.
    """

    def __init__(self, above: float = 100.0) -> None:
        super().__init__()
        if not above > 0:
            raise ValueError(f"above={above}: must be positive")
        self.above = above
        self.skipped = 0

    def state_dict(self) -> dict[str, int]:
        """The count so far."""
        return {"skipped": self.skipped}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        """Goes on counting."""
        self.skipped = int(state_dict["skipped"])

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        """Takes the gradients away, which makes the step one that changes nothing."""
        parameters = [one for group in optimizer.param_groups for one in group["params"]]
        norms = [one.grad.norm() for one in parameters if one.grad is not None]
        norm = float(torch.stack(norms).norm()) if norms else 0.0
        if math.isfinite(norm) and norm <= self.above:
            return
        self.skipped += 1
        log.warning("step %d left out: its gradient has the norm %.3g", trainer.global_step, norm)
        for parameter in parameters:
            parameter.grad = None
        pl_module.log("train/skipped_steps", float(self.skipped))
