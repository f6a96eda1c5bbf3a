"""Variance-preserving Gaussian diffusion in discrete steps: x_t = sqrt(ab_t) x1 + sqrt(1 - ab_t) x0."""

from __future__ import annotations

from typing import ClassVar, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor

from hydramol.transport import schedules
from hydramol.transport.tables import Table

Schedule = Literal["polynomial", "cosine", "linear"]
Variance = Literal["lower_bound", "upper_bound"]


class ReverseStep(NamedTuple):
    """Coefficients of ``x_previous = scale (x_t - noise_scale noise) + sigma z``, each in the shape of t, float64."""

    scale: Tensor
    noise_scale: Tensor
    sigma: Tensor


class DiscretePath:
    """The forward process and its reverse step (Ho, Jain & Abbeel, NeurIPS 2020), tabulated in float64.

    Time is an integer t from 0 (almost clean) to ``n_steps - 1`` (almost pure noise); a state at t has been noised
    t + 1 times. Nets see ``normalise(t)``. Float64 matters near the end, where alpha_bar is 1e-5 and its ratios are
    needed.

    Args:
        schedule: "polynomial", "cosine" or "linear".
        n_steps: T.
        precision: Least and most noise of the polynomial schedule.
        offset: Keeps the first steps of the cosine schedule from vanishing.
        exponent: Power of time in the cosine schedule.
        beta_start: First variance of the linear schedule, at 1000 steps.
        beta_end: Last variance of the linear schedule, at 1000 steps.
        variance: Noise added by a reverse step: "lower_bound" is the variance of the posterior given a point-like
            data distribution, "upper_bound" that given white data (Ho et al., section 3.2).

    Attributes:
        table: Columns alpha_bar, alpha, beta, sigma_square and vlb_weight over t.
    """

    discrete: ClassVar[bool] = True

    def __init__(
        self,
        schedule: Schedule = "polynomial",
        n_steps: int = 1000,
        precision: float = 1e-5,
        offset: float = 0.008,
        exponent: float = 1.0,
        beta_start: float = 1e-4,
        beta_end: float = 0.02,
        variance: Variance = "lower_bound",
    ) -> None:
        if n_steps < 2:
            raise ValueError(f"n_steps={n_steps}: at least 2")
        if not 0.0 < precision < 0.5:
            raise ValueError(f"precision={precision}: between 0 and 0.5")
        if variance not in ("lower_bound", "upper_bound"):
            raise ValueError(f"variance={variance!r}: lower_bound or upper_bound")
        if schedule == "polynomial":
            alpha_bar = schedules.polynomial(n_steps, precision)
        elif schedule == "cosine":
            alpha_bar = schedules.cosine(n_steps, offset, exponent)
        elif schedule == "linear":
            alpha_bar = schedules.linear(n_steps, beta_start, beta_end)
        else:
            raise ValueError(f"schedule={schedule!r}: polynomial, cosine or linear")
        self.schedule = schedule
        self.n_steps = n_steps
        self.variance = variance
        self.table = Table(_columns(alpha_bar, variance))
        self._kernel = Table({"a": np.sqrt(alpha_bar), "s": np.sqrt(1.0 - alpha_bar)})
        # Shifted by one, so that "before step 0", where nothing is noised, has an entry.
        self._alpha_bar = Table({"alpha_bar": np.concatenate([[1.0], alpha_bar])})

    def __str__(self) -> str:
        return f"{self.schedule} schedule of {self.n_steps} steps"

    def same_process(self, other: DiscretePath) -> bool:
        """Whether both noise alike: a step means the same for both."""
        mine, theirs = (path.table["alpha_bar"] for path in (self, other))
        return mine.shape == theirs.shape and bool(torch.allclose(mine, theirs, rtol=1e-9, atol=0.0))

    def at(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """The factors a of the data and s of the noise in ``x_t = a x1 + s x0``.

        Args:
            t: Integer steps of any shape.

        Returns:
            a and s in the shape of t, float64.
        """
        a, s = self._kernel.at(t)
        return a, s

    def normalise(self, t: Tensor) -> Tensor:
        """Steps 0 ... T-1 as float32 in [0, 1]."""
        return (t.to(torch.float64) / (self.n_steps - 1)).to(torch.float32)

    def unnormalise(self, time: Tensor) -> Tensor:
        """The nearest step of a time in [0, 1], int64.

        Raises:
            ValueError: A time lies outside [0, 1].
        """
        if bool(((time < 0) | (time > 1)).any()):
            raise ValueError("normalised time must lie in [0, 1]; clip predictions first")
        return torch.round(time.to(torch.float64) * (self.n_steps - 1)).to(torch.int64)

    def nearest(self, time: Tensor) -> Tensor:
        """The step nearest to a predicted time, int64: clipped to the path, pure noise where the prediction is nan."""
        return self.unnormalise(time.detach().nan_to_num(1.0).clamp(0.0, 1.0))

    def reverse(self, t: Tensor, previous: Tensor | None = None) -> ReverseStep:
        """Coefficients of the step from t back to a less noised state.

        Args:
            t: Integer steps of any shape.
            previous: Steps to go to, below t, in the shape of t; -1 is the clean end. By default t - 1. Longer strides
                use the ratios of alpha_bar over the stride (Nichol & Dhariwal, ICML 2021, section 4).
        """
        previous = t - 1 if previous is None else previous
        (now,) = self._alpha_bar.at(t + 1)
        (before,) = self._alpha_bar.at(previous + 1)
        alpha = now / before
        beta = 1.0 - alpha
        # 1 - before is 0 at the clean end: no noise is added there, whichever the variance.
        square = beta * (1.0 - before) / (1.0 - now) if self.variance == "lower_bound" else beta * (previous >= 0)
        return ReverseStep(alpha.rsqrt(), beta / (1.0 - now).sqrt(), square.sqrt())


def _columns(alpha_bar: np.ndarray, variance: Variance) -> dict[str, np.ndarray]:
    """Statistics of a schedule, named as by Ho et al."""
    alpha = np.concatenate([alpha_bar[:1], alpha_bar[1:] / alpha_bar[:-1]])
    beta = 1.0 - alpha
    lower = beta.copy()
    lower[1:] *= (1.0 - alpha_bar[:-1]) / (1.0 - alpha_bar[1:])
    # The posterior at t = 0 has no variance; the weight of its loss needs one and takes its neighbour's.
    lower[0] = lower[1]
    square = lower if variance == "lower_bound" else np.concatenate([lower[:1], beta[1:]])
    return {
        "alpha_bar": alpha_bar,
        "alpha": alpha,
        "beta": beta,
        "sigma_square": square,
        "vlb_weight": beta**2 / (2.0 * square * alpha * (1.0 - alpha_bar)),
    }
