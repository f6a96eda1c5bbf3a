"""When a molecule that finds its own time is done: the published rule, and one that copes with a noisy time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from hydramol.core.batch import Batch

Rule = Literal["published", "robust"]
RULES: tuple[Rule, ...] = ("published", "robust")


@dataclass(frozen=True)
class StoppingRules:
    """Numbers of both rules; time in steps of the path.

    Published (Kahouli et al. 2024): the predicted step is at most ``convergence_step``. A predictor that is off by a
    few steps never says 0, so molecules that have long come to rest go on moving.

    Robust: the average of the predicted step over the last ``window`` steps is at most ``time_below``, and from the
    window before it has fallen by less than ``slope`` a step, while a reverse process on its way falls by 1; or the
    molecule has moved by less than ``displacement`` from the moving average of its positions. The molecule then takes
    one last step, straight to the clean end.

    Attributes:
        convergence_step: Of the published rule.
        window: Steps of a moving average; nothing is decided before twice as many.
        time_below: Above this step no molecule is done by its time.
        slope: Steps of time by which it must fall in a step to be on its way.
        displacement: Root mean square over atoms, Angstrom.
    """

    convergence_step: int = 0
    window: int = 20
    time_below: float = 50.0
    slope: float = 0.1
    displacement: float = 0.002

    def __post_init__(self) -> None:
        if self.convergence_step < 0:
            raise ValueError(f"sampler.convergence_step={self.convergence_step}: 0 or more")
        if self.window < 1:
            raise ValueError(f"sampler.window={self.window}: at least 1")


class StoppingWatch:
    """Follows molecules, all of them at first, and says which rule holds for which.

    Args:
        rules: What to look for.
        x: Positions at the start, flat ``[rows, 3]``, Angstrom.
        condition: The flat batch.
    """

    def __init__(self, rules: StoppingRules, x: Tensor, condition: Batch) -> None:
        self.rules = rules
        self._done = 0
        self._mean_x = x
        self._times = torch.full((len(condition), 2 * rules.window), torch.inf, dtype=torch.float64, device=x.device)

    def see(self, t: Tensor, x: Tensor, condition: Batch) -> dict[Rule, Tensor]:
        """Takes a step into account.

        Args:
            t: Step that was predicted for each item that still moves, ``[items]``.
            x: Positions after the step, flat ``[rows, 3]``.
            condition: These items.

        Returns:
            Whether each rule holds, ``[items]`` bool.
        """
        rules = self.rules
        self._times = torch.cat([self._times[:, 1:], t[:, None].to(torch.float64)], dim=1)
        self._done += 1
        self._mean_x = self._mean_x + (x - self._mean_x) / min(self._done, rules.window)
        if self._done < 2 * rules.window:
            robust = torch.zeros_like(t, dtype=torch.bool)
        else:
            before, now = self._times.view(-1, 2, rules.window).mean(-1).unbind(1)
            at_rest = (now <= rules.time_below) & (before - now < rules.slope * rules.window)
            moved = condition.mean((x - self._mean_x).square().sum(-1, keepdim=True))[:, 0].sqrt()
            robust = at_rest | (moved < rules.displacement)
        return {"published": t <= rules.convergence_step, "robust": robust}

    def keep(self, items: Tensor, rows: Tensor) -> None:
        """Forgets molecules that have left.

        Args:
            items: Those that stay, bool ``[items]``.
            rows: Their atoms, bool ``[rows]``.
        """
        self._times, self._mean_x = self._times[items], self._mean_x[rows]
