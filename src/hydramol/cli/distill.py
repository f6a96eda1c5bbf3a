"""`hydramol distill`: the dataset distiller, which is not built yet."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from hydramol.cli.help import door_help
from hydramol.cli.shell import hydra_door

NOT_BUILT = "the distiller is not built yet; train, sample, evaluate, prepare and report work"


def help_page() -> str:
    """What ``--help`` prints."""
    return door_help(
        "hydramol distill [flags] [key=value] ...    (or: python distill.py ...)",
        f"Distils a data set: {NOT_BUILT}.",
        ["hydramol distill"],
        [],
        "distill",
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the door and exits."""
    sys.exit(hydra_door("distill", argv, help_page, refusal=NOT_BUILT))


if __name__ == "__main__":
    main()
