"""`hydramol list`: experiments and the options of each group, one line each."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from hydramol.cli.shell import run_door
from hydramol.core.errors import ConfigError
from hydramol.runtime.check.suggest import did_you_mean
from hydramol.runtime.options import config_folder, description, group_names, option_file, option_names


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the door and exits."""
    parser = argparse.ArgumentParser("hydramol list", description="Lists experiments and the options of groups.")
    parser.add_argument("groups", nargs="*", metavar="GROUP", help="groups to list; all by default, experiments first")
    parser.add_argument("--config-dir", "-cd", type=Path, help="a folder with YAML files of your own")
    arguments = parser.parse_args(argv)
    folders = [config_folder(), *([arguments.config_dir] if arguments.config_dir else [])]
    sys.exit(run_door(lambda: _list(arguments.groups, folders)))


def _list(wanted: list[str], folders: list[Path]) -> None:
    known = sorted(group_names(folders), key=lambda group: (group != "experiment", group))
    for group in wanted:
        if group not in known:
            raise ConfigError(f"no group {group}{did_you_mean(group, known)}", fix=f"groups: {', '.join(known)}")
    rows = [
        (group, option, description(file))
        for group in wanted or known
        for option in option_names(group, folders)
        if (file := option_file(group, option, folders)) is not None
    ]
    (_print_table if sys.stdout.isatty() else _print_lines)(rows)


def _print_lines(rows: list[tuple[str, str, str]]) -> None:
    width = max((len(f"{group}={option}") for group, option, _ in rows), default=0)
    for group, option, text in rows:
        print(f"{group + '=' + option:<{width}}  {text}".rstrip())


def _print_table(rows: list[tuple[str, str, str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("group", "option", "what it is", box=None, header_style="bold")
    previous = ""
    for group, option, text in rows:
        if previous and group != previous:
            table.add_section()
        table.add_row("" if group == previous else f"[cyan]{group}[/cyan]", option, text)
        previous = group
    Console().print(table)


if __name__ == "__main__":
    main()
