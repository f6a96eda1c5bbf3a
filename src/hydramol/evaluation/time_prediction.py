"""How well the time of noised structures is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from hydramol.core.batch import Batch
from hydramol.core.randomness import Randomness
from hydramol.core.results import Plot, Results, Section, Series, Table

TimePredictor = Callable[[Tensor, Batch], Tensor]
"""``(x, condition) -> normalised time of each item``."""


@dataclass(frozen=True)
class TimeErrors:
    """True and predicted steps of noised structures, ``[structures]`` float64; the path has ``n_steps``."""

    true: Tensor
    predicted: Tensor
    n_steps: int

    def between(self, low: float, high: float) -> tuple[int, float, float, float]:
        """Number, mean absolute error, mean error and spread of predictions for ``low <= true < high``, in steps."""
        inside = (self.true >= low) & (self.true < high)
        error = (self.predicted - self.true)[inside]
        if not len(error):
            return 0, float("nan"), float("nan"), float("nan")
        return len(error), float(error.abs().mean()), float(error.mean()), float(error.std(correction=0))


@torch.no_grad()
def time_errors(
    predict_time: TimePredictor, transport: Any, batches: Iterable[Batch], random: Randomness, n_draws: int = 4
) -> TimeErrors:
    """Noises structures to random steps and asks for them.

    Args:
        predict_time: The model.
        transport: Noises structures.
        batches: Structures to noise.
        random: Where times and noise come from.
        n_draws: How often each structure is noised.
    """
    true, predicted = [], []
    last = transport.path.n_steps - 1
    for batch in batches:
        for draw in range(n_draws):
            t = transport.sample_time(batch, random.for_stream("time").at(draw))
            x_t = transport.corrupt(batch["pos"], t, batch, random.for_stream("noise").at(draw)).x_t
            true.append(t.double().cpu())
            predicted.append(predict_time(x_t, batch).double().cpu().clamp(0, 1) * last)
    if not true:
        raise ValueError("no structures to noise")
    return TimeErrors(torch.cat(true), torch.cat(predicted), transport.path.n_steps)


def time_prediction(errors: TimeErrors, edges: Sequence[float] = (0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1)) -> Results:
    """Scalars ``time_error`` (mean absolute, steps) and ``time_error_start`` (first bin), a table and a plot.

    Args:
        errors: What `time_errors` found.
        edges: Limits of the bins, as shares of the path.
    """
    limits = [edge * errors.n_steps for edge in edges]
    bins = [(low, high, *errors.between(low, high)) for low, high in pairwise(limits)]
    filled = [one for one in bins if one[2]]
    n, overall, bias, spread = errors.between(0, errors.n_steps)
    rows: list[list[Any]] = [["all", n, round(overall, 1), round(bias, 1), round(spread, 1)]]
    rows += [[f"{low:g} to {high:g}", n, *(round(one, 1) for one in figures)] for low, high, n, *figures in filled]
    table = Table(
        ["t", "noised structures", "mean absolute error", "mean error", "spread"],
        rows,
        note="In steps of the path. A guess in the middle of the path would be off by a quarter of its length.",
    )
    middles = [(low + high) / 2 for low, high, *_ in filled]
    plot = Plot(
        kind="lines",
        series=[
            Series("predicted", middles, [middle + one[4] for middle, one in zip(middles, filled, strict=True)]),
            Series("true", middles, middles),
        ],
        x_label="true t",
        y_label="mean predicted t",
    )
    section = Section(
        "Time prediction",
        "How well the model tells how noised a structure is, on molecules that were not trained on.",
        [table],
        [plot] if len(middles) > 1 else [],
    )
    scalars = {"time_error": overall}
    if filled:
        scalars["time_error_start"] = filled[0][3]
    return Results(scalars, [section], {"time error": f"{overall:.0f} of {errors.n_steps} steps"})
