"""Puts measurements into words: sections of a report, and the scalars that go into tables of runs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor

from hydramol.core.results import Plot, Results, Section, Series, Structures, Table
from hydramol.evaluation.bond_rules import EDM, BondRule
from hydramol.evaluation.denoising import Denoising, NoiseLossRow
from hydramol.evaluation.distributions import Comparison


def join(parts: Iterable[Results]) -> Results:
    """One `Results` of several; scalars of the same name may not meet."""
    scalars: dict[str, float] = {}
    sections: list[Section] = []
    headline: dict[str, str] = {}
    for part in parts:
        if double := scalars.keys() & part.scalars.keys():
            raise ValueError(f"scalars given twice: {', '.join(sorted(double))}")
        scalars |= part.scalars
        sections += part.sections
        headline |= part.headline
    return Results(scalars, sections, headline)


def noise_prediction(rows: Sequence[NoiseLossRow]) -> Results:
    """The noise loss beside the two baselines: ``noise_loss``, ``noise_loss_linear``, ``noise_loss_vs_linear``."""
    overall, *bins = rows
    table = Table(
        columns=["t", "noised structures", "model", "linear guess", "predicting zero", "model / linear guess"],
        rows=[
            [_times(row), row.n, _r(row.model), _r(row.linear), _r(row.zero), _r(row.model / row.linear)]
            for row in rows
            if row.n
        ],
        note="Mean squared error of the predicted noise. A model that learned nothing scores as predicting zero; "
        "the best guess that is linear in the noised positions needs no chemistry. What lies below 1 in the last "
        "column is learned.",
    )
    middles = [(row.low + row.high) / 2 for row in bins if row.n]
    plot = Plot(
        kind="lines",
        series=[
            Series(name, middles, [getattr(row, key) for row in bins if row.n])
            for name, key in (("model", "model"), ("best linear guess", "linear"), ("predicting zero", "zero"))
        ],
        x_label="t",
        y_label="noise loss",
    )
    scalars = {
        "noise_loss": overall.model,
        "noise_loss_zero": overall.zero,
        "noise_loss_linear": overall.linear,
        "noise_loss_vs_linear": overall.model / overall.linear,
    }
    text = "How well the noise in a noised structure is told, on molecules that were not trained on."
    section = Section("Noise prediction", text, [table], [plot] if len(middles) > 1 else [])
    headline = {"noise loss / best linear guess": f"{scalars['noise_loss_vs_linear']:.2f}"}
    return Results(scalars, [section], headline)


def denoising(results: Sequence[Denoising], structures: Sequence[Structures] = ()) -> Results:
    """RMSD before and after: ``denoising_t100_rmsd_before``, ``..._after``, ``..._reduction`` (percent), and so on.

    Args:
        results: What `denoising_table` gave.
        structures: Files to show, frames in groups of noised, denoised and real.
    """
    rows: list[list[float]] = []
    scalars: dict[str, float] = {}
    for one in results:
        before, after = one.before, one.after
        rows.append(
            [
                one.t_start, len(before), _r(before.mean()), _r(after.mean()), _r(before.median()), _r(after.median()),
                round(one.reduction, 1), _r(one.ratio), round(float(one.n_steps.double().mean()), 1),
                round(100.0 * float(one.converged.double().mean()), 1),
            ]
        )  # fmt: skip
        name = f"denoising_t{one.t_start}"
        scalars |= {
            f"{name}_rmsd_before": float(before.mean()),
            f"{name}_rmsd_after": float(after.mean()),
            f"{name}_reduction": one.reduction,
            f"{name}_ratio": one.ratio,
            f"{name}_steps": float(one.n_steps.double().mean()),
            f"{name}_converged": 100.0 * float(one.converged.double().mean()),
        }
    table = Table(
        columns=[
            "from t", "molecules", "mean RMSD before / Å", "mean RMSD after / Å",
            "median before / Å", "median after / Å", "mean reduced by / %", "mean of after / before", "mean steps",
            "converged / %",
        ],
        rows=rows,
        note="RMSD to the real structure after superposition (proper rotation, atoms keep their labels).",
    )  # fmt: skip
    tables = [table, *stopping_rules([(f"from t = {one.t_start}", one.stopped) for one in results])]
    times = [float(one.t_start) for one in results]
    plot = Plot(
        kind="bars",
        series=[
            Series("before", times, [float(one.before.mean()) for one in results]),
            Series("after", times, [float(one.after.mean()) for one in results]),
        ],
        x_label="noised to t",
        y_label="mean RMSD / Å",
    )
    text = "Real structures are noised to step t; the sampler runs back from there."
    headline = {
        f"mean RMSD, denoised from t = {one.t_start}": f"{-one.reduction:+.0f} %".replace("-", "−")
        for one in results[:1]
    }
    return Results(scalars, [Section("Denoising", text, tables, [plot], list(structures))], headline)


def stopping_rules(results: Iterable[tuple[str, Mapping[str, Tensor]]]) -> list[Table]:
    """When each stopping rule first held, whichever of them ended the molecules; nothing for samplers without rules.

    Args:
        results: What was drawn, and by rule the step after which it first held, ``[items]``, -1 for never.
    """
    rows: list[list[str | float]] = []
    for name, stopped in results:
        for rule, step in stopped.items():
            held = step >= 0
            mean = _r(step[held].double().mean()) if held.any() else "never"
            rows.append([name, rule, round(100.0 * float(held.double().mean()), 1), mean])
    note = "Both rules watch all steps that were taken; only the chosen one ends a molecule."
    return (
        [Table(["", "rule", "molecules for which it held / %", "mean step at which it did"], rows, note)]
        if rows
        else []
    )


def generated_structures(
    samples: Mapping[str, float],
    data: Mapping[str, float],
    n_samples: int,
    n_data: int,
    rule: BondRule = EDM,
    structures: Sequence[Structures] = (),
) -> Results:
    """Stability and validity of samples, with real structures under the same pipeline as the ceiling.

    Args:
        samples: Fractions by name, the merged ``scores()`` of `Stability` and `Validity`.
        data: The same of real structures.
        n_samples: How many samples.
        n_data: How many real structures.
        rule: The bond rule behind the scores.
        structures: Files to show.
    """
    names = {
        "atom_stable": "atoms stable / %",
        "molecule_stable": "molecules stable / %",
        "connected": "in one piece / %",
        "valid": "valid / %",
        "unique": "unique of valid / %",
    }
    names = {key: name for key, name in names.items() if key in samples}
    table = Table(
        columns=["", "structures", *names.values()],
        rows=[
            ["generated", n_samples, *(_percent(samples[key]) for key in names)],
            ["real", n_data, *(_percent(data.get(key, math.nan)) for key in names)],
        ],
        note="Composition-conditioned: the elements of each molecule are given, only positions are generated, so these "
        f"numbers do not compare with models that generate the elements too. Bonds by the {rule.name} rule. Valid: one "
        "neutral piece to which RDKit can assign bond orders. The row of real structures is the ceiling.",
    )
    scalars = {f"generated_{key}": float(samples[key]) for key in names}
    scalars |= {f"data_{key}": float(data[key]) for key in names if key in data}
    heading = f"Generated structures (composition-conditioned; bond rule {rule.name})"
    headline = {
        f"generated {name.split(' / ')[0]} (real: {_percent(data[key]):.0f} %)": f"{_percent(samples[key]):.0f} %"
        for key, name in names.items()
        if key in ("molecule_stable", "valid") and key in data
    }
    return Results(scalars, [Section(heading, "", [table], [], list(structures))], headline)


def distances_and_angles(distances: Sequence[Comparison], angles: Sequence[Comparison], n_plots: int = 4) -> Results:
    """Distances and angles of samples against data: ``distance_w1`` (Angstrom) and ``angle_w1`` (degrees), averaged.

    Args:
        distances: By pair of elements, the most frequent first.
        angles: By triple of elements.
        n_plots: How many of each to draw.
    """
    tables, plots = [], []
    scalars: dict[str, float] = {}
    for kind, unit, comparisons in (("distance", "Å", distances), ("angle", "°", angles)):
        if not comparisons:
            continue
        tables.append(
            Table(
                columns=[kind, "in samples", "in data", f"Wasserstein-1 / {unit}", "Jensen-Shannon / bit"],
                rows=[
                    [one.name, one.n_samples, one.n_data, _r(one.wasserstein), _r(one.jensen_shannon)]
                    for one in comparisons
                ],
            )
        )
        plots += [
            Plot(
                kind="steps",
                series=[
                    Series("data", one.edges.tolist(), one.data.tolist()),
                    Series("samples", one.edges.tolist(), one.samples.tolist()),
                ],
                x_label=f"{one.name} {kind} / {unit}",
                y_label="density",
            )
            for one in comparisons[:n_plots]
        ]
        known = [one for one in comparisons if math.isfinite(one.wasserstein)]
        weight = sum(one.n_data for one in known)
        if weight:
            scalars[f"{kind}_w1"] = sum(one.wasserstein * one.n_data for one in known) / weight
            scalars[f"{kind}_jsd"] = sum(one.jensen_shannon * one.n_data for one in known) / weight
    text = "Distances between atoms and angles between bonds, by element; both measures are 0 for equal distributions."
    return Results(scalars, [Section("Distances and angles", text, tables, plots)])


def equivariance(errors: Mapping[int, Tensor], reference: str = "") -> Results:
    """Equivariance error by time: ``equivariance_error`` is the mean over all.

    Args:
        errors: What `equivariance_error` gave for structures noised to t, by t.
        reference: A sentence on what to expect of this net.
    """
    table = Table(
        columns=["t", "molecules", "mean error / %", "largest / %"],
        rows=[[t, len(e), _percent(e.mean(), 3), _percent(e.max(), 3)] for t, e in errors.items()],
        note="|R f(x) - f(R x)| / |f(x)| over random rotations R of the noised structure. Zero up to rounding for an "
        "equivariant net; two unrelated answers would differ by about 141 %. " + reference,
    )
    overall = sum(float(e.sum()) for e in errors.values()) / max(sum(len(e) for e in errors.values()), 1)
    text = "Does the predicted noise turn with the molecule?"
    headline = {"equivariance error": f"{_percent(overall, 2):g} %"}
    return Results({"equivariance_error": overall}, [Section("Equivariance", text, [table])], headline)


def _times(row: NoiseLossRow) -> str:
    return "all" if math.isinf(row.low) else f"{row.low:g} to {row.high - 1:g}"


def _r(value: float | Tensor, digits: int = 4) -> float:
    """Rounded to significant digits."""
    return float(f"{float(value):.{digits}g}")


def _percent(fraction: float | Tensor, digits: int = 1) -> float:
    """A fraction in percent: one decimal, or so many significant digits where asked for more."""
    percent = 100 * float(fraction)
    return round(percent, 1) if digits == 1 else _r(percent, digits)
