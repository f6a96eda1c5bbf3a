"""Saving what a task gave back, where the report will look for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hydramol.core.errors import ConfigError
from hydramol.core.files import write_json
from hydramol.evaluation.structures import write_structures
from hydramol.tasks.outcome import Outcome


def save_outcome(outcome: Outcome, run_dir: Path, results: str, folder: str) -> dict[str, float]:
    """Writes results as JSON and structures as extxyz, each file whole.

    Args:
        outcome: What a task gave back.
        run_dir: The run directory.
        results: Name of the results file, relative to it.
        folder: Where structures go, relative to it.

    Returns:
        The scalars.
    """
    for name, found in outcome.structures.items():
        write_structures(run_dir / folder / name, found.structures, found.captions, found.info)
    for section in outcome.results.sections:
        section.structures = [replace(shown, file=f"{folder}/{shown.file}") for shown in section.structures]
    write_json(run_dir / results, outcome.results.to_dict())
    return outcome.results.scalars


def save_main(outcome: Outcome, path: Path) -> None:
    """Writes the structures that are a task's answer to a file of the user's choice.

    Raises:
        ConfigError: The task has no such structures.
    """
    if outcome.main is None:
        raise ConfigError("the task gives no structures for a file", where=f"out={path}", fix="give out=<folder>")
    found = outcome.structures[outcome.main]
    write_structures(path, found.structures, found.captions, found.info)
