"""The command `hydramol`: finds the door. Imports nothing heavy, so that help comes at once."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence

DOORS = {
    "train": "train a model, evaluate it, write a report",
    "sample": "draw structures from a checkpoint",
    "evaluate": "measure a checkpoint on a split of its data",
    "prepare": "build a data set",
    "report": "write the report of a run anew",
    "list": "experiments and options, one line each",
    "distill": "distil a data set (not built yet)",
}

_HELP = """\
usage: hydramol <command> [arguments]

Experiments in molecular machine learning, composed from YAML files by Hydra and run by PyTorch Lightning.

commands:
{doors}

  hydramol <command> --help    what a command takes
  hydramol --version           the version

start here:
  hydramol list experiment
  hydramol train experiment=morered_ddpm_molecules
  hydramol sample ckpt=<run>/checkpoints/best.ckpt"""


def main(argv: Sequence[str] | None = None) -> None:
    """Calls the door named first and exits with its code."""
    # sys.argv stays as it is: Lightning starts further ranks with it.
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and arguments[0] in ("-sc", "--shell-completion"):
        arguments = [_door_being_typed(), *arguments]
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(_HELP.format(doors="\n".join(f"  {name:<10}{text}" for name, text in DOORS.items())))
        sys.exit(0)
    name, *rest = arguments
    if name == "--version":
        from hydramol import __version__

        print(__version__)
        sys.exit(0)
    if name not in DOORS:
        from hydramol.runtime.check.suggest import did_you_mean

        print(f"error: no command {name}{did_you_mean(name, DOORS)} (hydramol --help lists them)", file=sys.stderr)
        sys.exit(2)
    importlib.import_module(f"hydramol.cli.{name}").main(rest)


def _door_being_typed() -> str:
    """Under tab completion: takes the door's name out of the line, so that Hydra sees overrides only."""
    line = os.environ.get("COMP_LINE", "")
    words = line.split()
    door = words[1] if len(words) > 1 and words[1] in DOORS else "train"
    if len(words) > 1 and words[1] == door:
        os.environ["COMP_LINE"] = line.replace(f" {door}", "", 1)
        point = int(os.environ.get("COMP_POINT", len(line)))
        os.environ["COMP_POINT"] = str(max(point - len(door) - 1, 0))
    return door


if __name__ == "__main__":
    main()
