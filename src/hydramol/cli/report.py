"""`hydramol report`: writes report.html of a run directory anew."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from hydramol.cli.shell import run_door


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the door and exits."""
    parser = argparse.ArgumentParser("hydramol report", description="Writes report.html of run directories anew.")
    parser.add_argument(
        "runs", nargs="+", type=Path, metavar="RUN", help="a run directory, outputs/<experiment>/<run id>"
    )
    runs: list[Path] = parser.parse_args(argv).runs
    sys.exit(run_door(lambda: _write(runs)))


def _write(runs: list[Path]) -> None:
    from hydramol.core.errors import ConfigError
    from hydramol.report import write_report

    for run in runs:
        if not run.is_dir():
            raise ConfigError(f"{run}: no such run directory")
        print(write_report(run))


if __name__ == "__main__":
    main()
