"""What a run directory holds. Parts that are missing or broken become notes: a crashed run has a report too."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydramol.core.errors import DataError
from hydramol.core.results import Results

_X_COLUMNS = ("step", "epoch")


@dataclass
class Curve:
    """A metric over optimiser steps; rows in which it was not logged are left out."""

    steps: list[float]
    values: list[float]


@dataclass
class Run:
    """Everything a report tells.

    Attributes:
        path: The run directory.
        config: The composed configuration.
        overrides: What the user typed.
        curves: Logged metrics by column name.
        scalars: Final metrics, from metrics.json.
        summary: Parameters, split sizes, timings, versions and so on.
        evaluations: Results by name of their file without ending ("evaluation_test").
        samples: Results by name of their folder.
        notes: What is missing or could not be read.
    """

    path: Path
    config: dict[str, Any] = field(default_factory=dict)
    overrides: list[str] = field(default_factory=list)
    curves: dict[str, Curve] = field(default_factory=dict)
    scalars: dict[str, float] = field(default_factory=dict)
    summary: dict[str, Any] = field(default_factory=dict)
    evaluations: dict[str, Results] = field(default_factory=dict)
    samples: dict[str, Results] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """What the run is called: the experiment if the configuration says so, else its folder."""
        return str(self.config.get("name") or self.path.parent.name or self.path.name)

    @property
    def status(self) -> str:
        """ "finished", or how far the run came."""
        if self.scalars:
            return "finished"
        stage = self.summary.get("status")
        if stage == "interrupted":
            return "interrupted"
        if stage == "trained":
            return "trained, not yet evaluated"
        if self.summary or self.curves:
            return "unfinished"
        return "not trained here"


def read_run(run_dir: Path) -> Run:
    """Reads a run directory.

    Raises:
        DataError: There is no such folder.
    """
    run_dir = Path(run_dir)
    if not run_dir.is_dir():
        raise DataError("is no folder", where=str(run_dir), fix="name a run directory: outputs/<experiment>/<run id>")
    run = Run(run_dir.resolve())

    def take(name: str, read: Callable[[Path], Any], otherwise: Any, missing: str | None = None) -> Any:
        """What a file holds; without it, or if it cannot be read, the other value and a note."""
        path = run_dir / name
        if not path.is_file():
            if missing:
                run.notes.append(f"{name} is not there: {missing}")
            return otherwise
        try:
            return read(path)
        except DataError as error:
            run.notes.append(f"{name}: {error.what}")
        except (OSError, UnicodeDecodeError) as error:
            run.notes.append(f"{name} could not be read: {error}")
        return otherwise

    run.config = take("config.yaml", _read_yaml(dict), {}, "the configuration of this run is not known.")
    run.overrides = [str(one) for one in take("overrides.yaml", _read_yaml(list), [])]
    run.curves = take("metrics.csv", read_curves, {}, "nothing was logged, so there are no learning curves.")
    run.summary = take("summary.json", _read_json, {}, "training did not begin.")
    run.scalars = _numbers(take("metrics.json", _read_json, {}, "the run has not come to its end."))
    for path in sorted(run_dir.glob("evaluation*.json")):
        if (found := take(path.name, read_results, None)) is not None:
            run.evaluations[path.stem] = found
    if not run.evaluations:
        run.notes.append("There is no evaluation*.json: the model was not evaluated.")
    for path in sorted(run_dir.glob("samples/*/results.json")):
        if (found := take(str(path.relative_to(run_dir)), read_results, None)) is not None:
            run.samples[path.parent.name] = found
    return run


def read_curves(path: Path) -> dict[str, Curve]:
    """Reads a metrics.csv with sparse columns; what is logged once an epoch stands at the step it was logged.

    Raises:
        DataError: The file is no table of metrics; the line is named.
    """
    curves: dict[str, Curve] = {}
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.DictReader(file)
        columns = reader.fieldnames or []
        if not columns or not set(columns) & set(_X_COLUMNS):
            raise DataError("is no table of metrics: it has no column step or epoch", where=str(path))
        for row in reader:
            try:
                step = next(float(row[x]) for x in _X_COLUMNS if row.get(x))
                for name in columns:
                    if row[name] and (name not in _X_COLUMNS):
                        curve = curves.setdefault(name, Curve([], []))
                        curve.values.append(float(row[name]))
                        curve.steps.append(step)
            except (StopIteration, ValueError, TypeError, KeyError):
                raise DataError(f"line {reader.line_num} is no row of numbers", where=str(path)) from None
    return curves


def read_results(path: Path) -> Results:
    """Reads `Results` from JSON.

    Raises:
        DataError: The file does not hold results.
    """
    try:
        return Results.from_dict(_read_json(path))
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(f"does not hold results ({type(error).__name__}: {error})", where=str(path)) from None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise DataError(f"is not JSON ({error})", where=str(path)) from None
    if not isinstance(found, dict):
        raise DataError("does not hold a mapping", where=str(path))
    return found


def _read_yaml(kind: type) -> Callable[[Path], Any]:
    import yaml

    def read(path: Path) -> Any:
        try:
            found = yaml.safe_load(path.read_text(encoding="utf-8"))
        except yaml.YAMLError as error:
            raise DataError(f"is not YAML ({' '.join(str(error).split())})", where=str(path)) from None
        if found is None:
            return kind()
        if not isinstance(found, kind):
            raise DataError(f"holds no {'mapping' if kind is dict else 'list'}", where=str(path))
        return found

    return read


def _numbers(found: dict[str, Any]) -> dict[str, float]:
    """The finite and infinite numbers among some values."""
    return {
        name: math.nan if value is None else float(value)
        for name, value in found.items()
        if value is None or isinstance(value, int | float)
    }
