"""Metrics as a CSV file that a resumed run continues (Lightning's own logger deletes it)."""

from __future__ import annotations

import csv
from argparse import Namespace
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers.logger import Logger
from pytorch_lightning.utilities.rank_zero import rank_zero_only

from hydramol.core.files import writing


class CSVLogger(Logger):
    """One row a step that logged anything; columns appear as they come.

    Args:
        save_dir: The run directory; the file is metrics.csv there.
        flush_every: Rows between writes of the whole file.
    """

    def __init__(self, save_dir: str, flush_every: int = 50) -> None:
        super().__init__()
        self.path = Path(save_dir) / "metrics.csv"
        self.flush_every = flush_every
        self._rows: list[dict[str, Any]] | None = None
        self._unsaved = 0

    @property
    def name(self) -> str:
        """Name of the logger."""
        return "csv"

    @property
    def version(self) -> str:
        """A run directory is one version."""
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """The configuration stands in config.yaml."""

    @rank_zero_only
    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Adds a row; on the first call after a resume, rows from this step on are taken over anew."""
        step = -1 if step is None else step
        if self._rows is None:
            self._rows = [row for row in self._read() if int(row["step"]) < step]
        row = {"step": step, **metrics}
        if self._rows and int(self._rows[-1]["step"]) == step:
            self._rows[-1].update(row)
        else:
            self._rows.append(row)
        self._unsaved += 1
        if self._unsaved >= self.flush_every:
            self.save()

    def _read(self) -> list[dict[str, Any]]:
        if not self.path.is_file():
            return []
        with self.path.open(newline="") as file:
            return list(csv.DictReader(file))

    @rank_zero_only
    def save(self) -> None:
        """Writes the file."""
        if not self._rows:
            return
        self._unsaved = 0
        columns = dict.fromkeys(name for row in self._rows for name in row)
        with writing(self.path) as temporary, temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(columns), restval="")
            writer.writeheader()
            writer.writerows(self._rows)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Writes what is left."""
        self.save()
