"""One self-contained HTML page of a run; reads the run directory and nothing else."""

from hydramol.report.html import write_report

__all__ = ["write_report"]
