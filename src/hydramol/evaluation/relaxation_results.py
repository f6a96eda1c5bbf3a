"""Relaxations in words and pictures: how near the minima, at what cost, and what was remarked on the way."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from hydramol.core.results import Plot, Results, Section, Series, Structures, Table
from hydramol.core.units import factor
from hydramol.evaluation.relaxation import LIMITS, Measures


@dataclass(frozen=True)
class Course:
    """How a sampler went about it.

    Attributes:
        n_steps: Steps of each structure, ``[items]``.
        converged: Whether each met the rule that the sampler stops by, ``[items]``.
        moved: RMSD between start and result after superposition, ``[items]``, Angstrom.
        n_evals: Calls of the network, over all batches.
        seconds: Wall time.
        stopped: By stopping rule: the step after which it first held, ``[items]``, -1 where it never did.
        time: Normalised time that the model sees in the starts and in the results, each ``[items]``; None where it
            tells no time.
    """

    n_steps: Tensor
    converged: Tensor
    moved: Tensor
    n_evals: int
    seconds: float
    stopped: Mapping[str, Tensor] = field(default_factory=dict)
    time: tuple[Tensor, Tensor] | None = None

    def select(self, items: Tensor) -> Course:
        """The same of some structures, ``[items]`` bool; calls and wall time stay those of all."""
        return replace(
            self,
            n_steps=self.n_steps[items],
            converged=self.converged[items],
            moved=self.moved[items],
            stopped={rule: first[items] for rule, first in self.stopped.items()},
            time=None if self.time is None else (self.time[0][items], self.time[1][items]),
        )


def course_of_relaxation(
    course: Course, remarks: Sequence[str] = (), structures: Sequence[Structures] = (), text: str = ""
) -> Results:
    """Steps, stopping rules and remarks: ``relaxation_steps``, ``relaxation_converged``, ``relaxation_moved``, ...

    Args:
        course: What the sampler did.
        remarks: One line each on structures that are left out or strange.
        structures: Files to show.
        text: What was relaxed.
    """
    steps = course.n_steps.double()
    scalars = {
        "relaxation_n": float(len(steps)),
        "relaxation_steps": float(steps.mean()) if len(steps) else math.nan,
        "relaxation_converged": _share(course.converged),
        "relaxation_moved": _mean(course.moved),
    }
    row = [len(steps), _percent(course.converged), _r(steps.mean()), _r(_median(steps)), course.n_evals]
    columns = ["structures", "converged / %", "mean steps", "median steps", "calls of the net"]
    columns += ["mean RMSD to the start / Å", "seconds a structure"]
    row += [_r(_mean(course.moved)), _r(course.seconds / max(len(steps), 1))]
    if course.time is not None:
        columns += ["mean predicted time of the start", "of the result"]
        row += [_r(_mean(time)) for time in course.time]
        scalars |= {
            f"relaxation_time_{name}": _mean(time) for name, time in zip(("start", "end"), course.time, strict=True)
        }
    tables = [Table(columns, [row], note="Predicted time: 1 is pure noise, 0 a clean structure." * bool(course.time))]
    if course.stopped:
        tables.append(_rules(course.stopped))
        for rule, first in course.stopped.items():
            scalars[f"relaxation_{rule}_rule_met"] = _share(first >= 0)
    if remarks:
        tables.append(Table(["remarks"], [[remark] for remark in remarks]))
    headline = {"relaxations converged": f"{_percent(course.converged):.0f} %"}
    return Results(scalars, [Section("Relaxation", text, tables, [], list(structures))], headline)


def _rules(stopped: Mapping[str, Tensor]) -> Table:
    rows = []
    for rule, first in stopped.items():
        held = first[first >= 0].double()
        rows.append([rule, _percent(first >= 0), *(_r(f(held)) if len(held) else None for f in (torch.mean, _median))])
    return Table(
        ["stopping rule", "met by / %", "first held after steps, mean", "median"],
        rows,
        note="Both rules are watched while the sampler stops a molecule by the chosen one, so the other can only be "
        "met until then.",
    )


def relaxation_results(methods: Sequence[Measures], reference: str, structures: Sequence[Structures] = ()) -> Results:
    """Methods side by side: ``relaxation_<method>_rmsd_after`` and the other names of `Measures.scores`.

    Args:
        methods: The model first, then controls from the same starts.
        reference: What the minima are, in a sentence.
        structures: Files to show.
    """
    scores = {one.name: one.scores() for one in methods}
    scalars = {
        f"relaxation_{name.lower()}_{key}": value for name, found in scores.items() for key, value in found.items()
    }
    first = methods[0]
    tables = [_nearness(methods, scores)]
    plots = _plots(methods)
    if any(one.energy is not None for one in methods):
        tables.append(_energies(methods, scores))
    headline = {"relaxation: mean RMSD after / before": f"{scores[first.name]['rmsd_ratio']:.2f}"}
    return Results(scalars, [Section("Distance to the minimum", reference, tables, plots, list(structures))], headline)


def _nearness(methods: Sequence[Measures], scores: Mapping[str, Mapping[str, float]]) -> Table:
    columns = ["method", "structures", "mean RMSD / Å", "median / Å", "mean of ratios", "ratio of means"]
    columns += [*(f"below {limit:g} Å / %" for limit in LIMITS), "halved / %", "converged / %", "gave nothing"]
    columns += ["mean RMSD, like atoms matched / Å", "seconds a structure"]
    before = methods[0].before
    below = (_percent(before < limit) for limit in LIMITS)
    rows: list[list[object]] = [
        ["start", len(before), _r(_mean(before)), _r(_median(before)), 1.0, 1.0, *below, 0.0, None, 0, None, None]
    ]
    for one in methods:
        found = scores[one.name]
        numbers = (found[key] for key in ("rmsd_after", "rmsd_median", "rmsd_ratio", "rmsd_ratio_of_means"))
        shares = [found[f"below_{limit:g}"] for limit in LIMITS] + [found["halved"], found["converged"]]
        rows.append(
            [
                one.name, len(one.after), *map(_r, numbers), *(round(100 * share, 1) for share in shares),
                int(found["n_failed"]), _r(found["rmsd_matched"]), _r(one.seconds / len(one.after)),
            ]
        )  # fmt: skip
    note = (
        "RMSD to the minimum after superposition (proper rotation, atoms keep their labels). Means leave out "
        "structures for which a method gave nothing (a force field without types for an atom, electrons that do not "
        "converge); shares are of all structures. Halved: less than half as far as the start. Like atoms matched: "
        "the best over exchanges of atoms of one element and mirror images. MMFF94 is told the bonds of the minimum."
    )
    return Table(columns, rows, note=note)


def _energies(methods: Sequence[Measures], scores: Mapping[str, Mapping[str, float]]) -> Table:
    rows = [
        [
            one.name,
            int(one.energy.isfinite().sum()),
            _r(scores[one.name]["energy"]),
            _r(scores[one.name]["energy_median"]),
        ]
        for one in methods
        if one.energy is not None
    ]
    return Table(
        ["method", "structures", "mean energy / (kcal/mol)", "median / (kcal/mol)"],
        rows,
        note="GFN2-xTB energy of the result minus that of the GFN2-relaxed reference. Below 0: another, lower minimum.",
    )


def _plots(methods: Sequence[Measures]) -> list[Plot]:
    before = methods[0].before
    points = [Series(one.name, *_finite(one.before, one.after)) for one in methods]
    farthest = max(value for one in (before, *(one.after for one in methods)) for value in one[one.isfinite()].tolist())
    edges = np.linspace(0.0, farthest * 1.0001 or 1.0, 21)
    series = [("before", before), *((one.name, one.after) for one in methods)]
    plots = [
        Plot("points", points, "RMSD before / Å", "RMSD after / Å"),
        Plot(
            "steps",
            [_histogram(name, values, edges) for name, values in series],
            "RMSD to the minimum / Å",
            "structures",
        ),
    ]
    energies = {one.name: one.energy * factor("eV", "kcal/mol") for one in methods if one.energy is not None}
    if energies:
        known = [(name, *_finite(one.after, energies[name])) for one in methods if (name := one.name) in energies]
        plots.append(
            Plot("points", [Series(*one) for one in known], "RMSD after / Å", "energy above the minimum / (kcal/mol)")
        )
    return plots


def _histogram(name: str, values: Tensor, edges: np.ndarray) -> Series:
    counts, _ = np.histogram(values[values.isfinite()].numpy(), edges)
    return Series(name, edges.tolist(), counts.astype(float).tolist())


def _finite(x: Tensor, y: Tensor) -> tuple[list[float], list[float]]:
    both = x.isfinite() & y.isfinite()
    return x[both].tolist(), y[both].tolist()


def _mean(values: Tensor) -> float:
    finite = values[values.isfinite()]
    return float(finite.double().mean()) if len(finite) else math.nan


def _median(values: Tensor) -> Tensor:
    finite = values[values.isfinite()]
    return finite.median() if len(finite) else torch.tensor(math.nan)


def _share(values: Tensor) -> float:
    return float(values.double().mean()) if len(values) else math.nan


def _percent(values: Tensor) -> float:
    return round(100 * _share(values), 1)


def _r(value: float | Tensor, digits: int = 4) -> float:
    return float(f"{float(value):.{digits}g}")
