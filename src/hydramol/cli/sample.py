"""`hydramol sample`: does with a checkpoint what its task says."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from hydramol.cli.help import door_help
from hydramol.cli.shell import hydra_door


def help_page() -> str:
    """What ``--help`` prints."""
    return door_help(
        "hydramol sample ckpt=<file> [flags] [sampler=option] [key=value] ...    (or: python sample.py ...)",
        "Does with a checkpoint what its task says; the checkpoint is all it needs. The sampler and the task may be "
        "swapped and their values changed, the trained model may not.",
        [
            "hydramol sample ckpt=<run>/checkpoints/best.ckpt",
            "hydramol sample ckpt=<run>/checkpoints/best.ckpt sampler=ddpm sampler.n_samples=32 out=drawn",
            "hydramol sample ckpt=<run> sampler=morered_jt task=relax input=molecules.sdf out=relaxed.extxyz",
        ],
        ["sampler", "task"],
        "sample",
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the door and exits."""
    sys.exit(hydra_door("sample", argv, help_page))


if __name__ == "__main__":
    main()
