"""Help that needs neither Hydra nor torch."""

from __future__ import annotations

import textwrap

from hydramol.runtime.options import config_folder, group_names, option_names

FLAGS = """\
flags:
  --help               this page
  --cfg job            print the composed configuration and stop (--resolve: with interpolations filled in)
  -m, --multirun       one run for each combination of comma-separated values
  --config-dir DIR     a folder with YAML files of your own
  --info defaults      where the configuration comes from
  -sc install=bash     tab completion for your shell: eval "$(hydramol train -sc install=bash)"
"""


def door_help(usage: str, about: str, examples: list[str], groups: list[str], keys: str) -> str:
    """The help page of a door.

    Args:
        usage: The command line.
        about: What the door does.
        examples: Commands to copy.
        groups: Groups it composes, shown with their options.
        keys: Name of the root YAML file, whose own keys are shown with their comments.
    """
    parts = [f"usage: {usage}", textwrap.fill(about, 110), _groups(groups), _keys(keys), FLAGS.rstrip()]
    parts.append("examples:\n" + "\n".join(f"  {example}" for example in examples))
    return "\n\n".join(part for part in parts if part)


def _groups(groups: list[str]) -> str:
    if not groups:
        return ""
    folders = [config_folder()]
    width = max(map(len, groups)) + 2
    lines = []
    for group in groups:
        options = ", ".join(option_names(group, folders))
        filled = textwrap.fill(options, 110, initial_indent=" " * (width + 2), subsequent_indent=" " * (width + 2))
        lines.append(f"  {group:<{width}}{filled.lstrip()}")
    return "groups (group=option; `hydramol list` describes them):\n" + "\n".join(lines)


def _keys(root: str) -> str:
    """Keys of a root YAML file with their comments, as they stand there."""
    lines = (config_folder() / f"{root}.yaml").read_text(encoding="utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("name:"))
    keys = "\n".join(f"  {line}" for line in lines[start:] if line)
    return f"keys of its own (`hydramol {root} --cfg job` shows all others):\n{keys}"


def all_groups() -> list[str]:
    """Groups of `hydramol train`, nested ones left out."""
    return [group for group in group_names([config_folder()]) if "/" not in group and group not in ("paths", "search")]
