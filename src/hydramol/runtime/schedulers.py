"""Learning rate schedules over a run's optimiser steps."""

from __future__ import annotations

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, ReduceLROnPlateau


def cosine_warmup(optimizer: Optimizer, n_steps: int, warmup: float = 0.05, final: float = 0.0) -> LambdaLR:
    """Linear warm-up, then half a cosine down to ``final`` times the learning rate.

    Args:
        optimizer: Whose rates are scaled.
        n_steps: Optimiser steps of the whole run.
        warmup: Share of the steps spent warming up, in [0, 1).
        final: Last rate as a share of the first.
    """
    if not 0 <= warmup < 1:
        raise ValueError(f"scheduler.warmup={warmup} must be in [0, 1)")
    n_warmup = max(int(warmup * n_steps), 1)

    def scale(step: int) -> float:
        if step < n_warmup:
            return (step + 1) / (n_warmup + 1)
        progress = min((step - n_warmup) / max(n_steps - n_warmup, 1), 1.0)
        return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * progress))

    return LambdaLR(optimizer, scale)


def reduce_on_plateau(
    optimizer: Optimizer,
    n_steps: int,
    factor: float = 0.5,
    patience: int = 150,
    cooldown: int = 10,
    min_lr: float = 0.0,
) -> ReduceLROnPlateau:
    """Lowers the rate when the validation loss stops falling, as MoreRed does; looked at once an epoch.

    Args:
        optimizer: Whose rates are lowered.
        n_steps: Optimiser steps of the whole run; the plateau decides instead.
        factor: What the rate is multiplied by.
        patience: Epochs without improvement before that.
        cooldown: Epochs to wait after it.
        min_lr: Lowest rate.
    """
    del n_steps
    return ReduceLROnPlateau(optimizer, factor=factor, patience=patience, cooldown=cooldown, min_lr=min_lr)
