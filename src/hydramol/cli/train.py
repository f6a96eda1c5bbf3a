"""`hydramol train`: trains a model, measures it, writes a report."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from hydramol.cli.help import all_groups, door_help
from hydramol.cli.shell import hydra_door


def help_page() -> str:
    """What ``--help`` prints."""
    return door_help(
        "hydramol train [flags] [group=option] [key=value] ...    (or: python train.py ...)",
        "Trains a model, evaluates its best weights and writes report.html into the run directory, "
        "outputs/<experiment>/<run id>/. Without arguments: a small EdgeTransformer on the embedded molecules.",
        [
            "hydramol train experiment=morered_ddpm_molecules net=painn trainer.max_epochs=3",
            "hydramol train transform.sample.flip=null optimizer.lr=3e-4 trainer.precision=bf16-mixed",
            "hydramol train experiment=morered_ddpm_qm9 check=true          check everything, run nothing",
            "hydramol train -m optimizer.lr=1e-4,3e-4 trainer.max_epochs=1   two runs",
            "hydramol train resume=outputs/<experiment>/<run id>             go on where a run stopped",
        ],
        all_groups(),
        "train",
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the door and exits."""
    sys.exit(hydra_door("train", argv, help_page))


if __name__ == "__main__":
    main()
