"""`hydramol prepare`: builds a data set."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from hydramol.cli.help import door_help
from hydramol.cli.shell import hydra_door


def help_page() -> str:
    """What ``--help`` prints."""
    return door_help(
        "hydramol prepare data=<builder> [flags] [data.key=value] ...",
        "Builds a data set. It goes on where it stopped when called again with the same directory.",
        ["hydramol prepare data=molecules", "hydramol prepare data=molecules --cfg job      what can be set"],
        ["prepare/data"],
        "prepare",
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the door and exits."""
    sys.exit(hydra_door("prepare", argv, help_page))


if __name__ == "__main__":
    main()
