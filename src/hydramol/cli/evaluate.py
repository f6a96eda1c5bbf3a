"""`hydramol evaluate`: measures a checkpoint on a split of its data."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from hydramol.cli.help import door_help
from hydramol.cli.shell import hydra_door


def help_page() -> str:
    """What ``--help`` prints."""
    return door_help(
        "hydramol evaluate ckpt=<file> [split=val|test] [flags] [key=value] ...",
        "Measures a checkpoint on a split of the data it was trained with and renews the report.",
        [
            "hydramol evaluate ckpt=<run>/checkpoints/best.ckpt split=val",
            "hydramol evaluate ckpt=<run>/checkpoints/best.ckpt split=test sampler.n_samples=64",
        ],
        ["sampler", "task"],
        "evaluate",
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the door and exits."""
    sys.exit(hydra_door("evaluate", argv, help_page))


if __name__ == "__main__":
    main()
