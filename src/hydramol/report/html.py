"""Builds report.html: everything in one file, which opens without a network."""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Iterator, Sequence
from importlib import resources
from itertools import count
from pathlib import Path
from typing import Any

from hydramol import __version__
from hydramol.core.errors import DataError
from hydramol.core.files import write_text
from hydramol.core.results import Results, Section, Structures, Table
from hydramol.report import plots
from hydramol.report.molecules import read_cards, scene
from hydramol.report.read_run import Run, read_run

log = logging.getLogger(__name__)

_PACKAGE = "hydramol.report"


def write_report(run_dir: Path | str) -> Path:
    """Writes ``report.html`` of a run, also of one that did not come to its end.

    Args:
        run_dir: The run directory.

    Returns:
        The page.

    Raises:
        DataError: There is no such folder.
        OutputError: The page could not be written.
    """
    run = read_run(Path(run_dir))
    page = render(run)
    target = Path(run_dir) / "report.html"
    write_text(target, page)
    return target


def render(run: Run) -> str:
    """The page of a run; what cannot be drawn is added to its notes."""
    import jinja2
    import yaml

    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {"number": format_number, "seconds": format_seconds}
    names = (f"p{number}" for number in count())
    chapters = [
        *((_title(name), _chapter(run, results, names)) for name, results in run.evaluations.items()),
        *((f"Samples: {name}", _chapter(run, found, names, f"samples/{name}")) for name, found in run.samples.items()),
    ]
    groups = plots.group_curves(sorted(run.curves, key=_train_first))
    curves = [
        plots.draw_curves({name: run.curves[name] for name in group}, quantity, next(names))
        for quantity, group in groups.items()
    ]
    return environment.from_string(_asset("templates/report.html.j2")).render(
        run=run,
        curves=curves,
        chapters=chapters,
        headline=_headline(run),
        facts=_facts(run),
        choices=_choices(run.config),
        config=yaml.safe_dump(run.config, sort_keys=False, allow_unicode=True) if run.config else "",
        batches={
            key.replace("_", " "): run.summary[key]
            for key in ("batches_per_epoch", "steps_per_epoch", "effective_batch")
            if key in run.summary
        },
        timings={key.replace("_", " "): value for key, value in run.summary.get("timings", {}).items()},
        memory=_memory(run.summary.get("peak_memory_mb")),
        written=time.strftime("%Y-%m-%d %H:%M"),
        version=__version__,
        css=_asset("report.css"),
        viewer=_asset("viewer.js"),
    )


def format_number(value: Any, digits: int = 4) -> str:
    """A number for people: whole numbers with thin spaces between thousands, others with so many significant digits."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "" if value is None else str(value)
    if not math.isfinite(value):
        return "–" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    if isinstance(value, int) or (value == int(value) and abs(value) < 1e15):
        return f"{int(value):,}".replace(",", "\u2009").replace("-", "−")
    return f"{value:.{digits}g}".replace("-", "−")


def format_column(values: Sequence[Any], digits: int = 4) -> list[str]:
    """Numbers that stand below each other: as many decimals as they have, but no more digits than asked for."""
    numbers = [abs(v) for v in values if isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v)]
    numbers = [v for v in numbers if v]
    if all(isinstance(v, int) for v in numbers):
        return [format_number(value) for value in values]
    have = max(len(f"{v:.10f}".rstrip("0").partition(".")[2]) for v in numbers)
    decimals = max(min(have, digits - 1 - math.floor(math.log10(max(numbers)))), 0)
    if min(numbers) < 10.0**-decimals:  # would be shown as 0
        return [format_number(value) for value in values]
    return [
        f"{v:.{decimals}f}".replace("-", "−") if isinstance(v, float) and math.isfinite(v) else format_number(v)
        for v in values
    ]


def format_seconds(seconds: float) -> str:
    """A duration for people: ``35 ms``, ``12 s``, ``3 min 20 s``, ``2 h 5 min``."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"


def _chapter(run: Run, results: Results, names: Iterator[str], folder: str = "") -> dict[str, Any]:
    """Sections of an evaluation with their plots drawn and their structures read."""
    sections = [
        {
            "heading": section.heading,
            "text": section.text,
            "tables": [_table(table) for table in section.tables],
            "plots": [{"svg": plots.draw(plot, next(names)), "note": plot.note} for plot in section.plots],
            "structures": _structures(run, section, folder),
        }
        for section in results.sections
    ]
    return {"sections": sections, "scalars": results.scalars}


def _table(table: Table) -> dict[str, Any]:
    """A table as text; columns of words stand left, numbers of a column have the same decimals."""
    columns = [[row[place] if place < len(row) else None for row in table.rows] for place in range(len(table.columns))]
    cells = [format_column(column) for column in columns]
    return {
        "columns": table.columns,
        "rows": list(zip(*cells, strict=True)),
        "left": [any(isinstance(value, str) for value in column) for column in columns],
        "note": table.note,
    }


def _structures(run: Run, section: Section, folder: str) -> list[dict[str, Any]]:
    """Structures of a section that can be read, as data for the viewer."""
    found = []
    for shown in section.structures:
        try:
            cards = read_cards(_find(run, shown, folder), shown)
        except DataError as error:
            run.notes.append(error.line)
            continue
        if cards:
            # "<" would end the script element that carries the data.
            data = json.dumps(scene(cards), separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")
            found.append({"note": shown.note, "data": data, "n": len(cards), "width": max(len(c.cells) for c in cards)})
    return found


def _find(run: Run, shown: Structures, folder: str) -> Path:
    """A structure file: named relative to the run directory, or to the folder of the results."""
    for candidate in (run.path / shown.file, run.path / folder / shown.file):
        if candidate.is_file():
            return candidate
    raise DataError("the structures are not there", where=shown.file)


def _headline(run: Run) -> dict[str, str]:
    """Figures for the top: those of the evaluations, and the lowest validation loss."""
    found: dict[str, str] = {}
    for results in (*run.evaluations.values(), *run.samples.values()):
        for name, text in results.headline.items():
            found.setdefault(name, text)
    losses = run.curves["val/loss"].values if "val/loss" in run.curves else []
    if losses := [value for value in losses if math.isfinite(value)]:
        found["lowest validation loss"] = format_number(min(losses), 3)
    return found


def _facts(run: Run) -> dict[str, str]:
    """A few words about the run for the line below its name."""
    summary, facts = run.summary, {}
    if (total := summary.get("parameters", {}).get("total")) is not None:
        facts["parameters"] = format_number(total)
    for key in ("epochs", "steps", "effective_batch", "device", "precision"):
        if key in summary:
            facts[key.replace("_", " ")] = format_number(summary[key])
    if (fit := summary.get("timings", {}).get("fit")) is not None:
        facts["training"] = format_seconds(fit)
    return facts


def _choices(config: dict[str, Any]) -> dict[str, str]:
    """What fills each group of the configuration: the class, without its package's name."""
    return {
        group: str(node["_target_"]).removeprefix("hydramol.")
        for group, node in config.items()
        if isinstance(node, dict) and "_target_" in node
    }


def _memory(peak: Any) -> dict[str, int]:
    """Peak memory by where it was used, MB."""
    if isinstance(peak, dict):
        return {str(name): round(value) for name, value in peak.items()}
    return {} if peak is None else {"process": round(peak)}


def _train_first(name: str) -> tuple[str, int, str]:
    """Sorts metrics by quantity, training before validation before test."""
    stage, _, quantity = name.rpartition("/")
    order = {"train": 0, "val": 1, "test": 2}.get(stage, 3)
    return ("" if quantity == "loss" else quantity, order, name)


def _title(name: str) -> str:
    """Heading of an evaluation file: ``evaluation_test`` -> "Evaluation on the test split"."""
    split = name.removeprefix("evaluation").strip("_")
    return {"": "Evaluation", "test": "Evaluation on the test split", "val": "Evaluation on the validation split"}.get(
        split, f"Evaluation: {split.replace('_', ' ')}"
    )


def _asset(name: str) -> str:
    return resources.files(_PACKAGE).joinpath(name).read_text(encoding="utf-8")
