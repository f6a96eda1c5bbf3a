"""The optimiser of a model and its schedule, as Lightning wants them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn


def optimizer_with_schedule(
    model: nn.Module,
    optimizer: Callable[..., torch.optim.Optimizer] | None,
    scheduler: Callable[..., Any] | None,
    planned_steps: Callable[[], int],
) -> Any:
    """What ``configure_optimizers`` returns.

    Args:
        model: Whose parameters are trained.
        optimizer: ``parameters -> optimizer``.
        scheduler: ``optimizer, n_steps -> learning rate scheduler``, or None.
        planned_steps: Optimiser steps of the whole run; asked only if there is a schedule.
    """
    if optimizer is None:
        raise ValueError("optimizer is not set")
    built = optimizer(model.parameters())
    if scheduler is None:
        return built
    schedule = scheduler(built, n_steps=planned_steps())
    plateau = isinstance(schedule, torch.optim.lr_scheduler.ReduceLROnPlateau)
    return {
        "optimizer": built,
        "lr_scheduler": {
            "scheduler": schedule,
            "interval": "epoch" if plateau else "step",
            "monitor": "val/loss",
        },
    }
