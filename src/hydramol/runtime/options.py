"""The YAML files themselves: where they lie, which options a group has, and the line that describes each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import hydramol

PRESET_GROUPS = ("experiment", "debug", "search", "launcher")
"""Groups whose options change other groups; each of their files starts with ``# @package _global_``."""


def config_folder() -> Path:
    """Folder of our YAML files: inside the installed package, or at the root of a source tree."""
    package = Path(hydramol.__file__).parent
    installed = package / "configs"
    return installed if installed.is_dir() else package.parents[1] / "configs"


def option_file(group: str, option: str, folders: Iterable[Path]) -> Path | None:
    """The file of an option, from the first folder that has it."""
    files = (folder / group / f"{option}.yaml" for folder in folders)
    return next((file for file in files if file.is_file()), None)


def option_names(group: str, folders: Iterable[Path]) -> list[str]:
    """Options of a group over all folders, sorted."""
    return sorted({file.stem for folder in folders for file in (folder / group).glob("*.yaml")})


def group_names(folders: Iterable[Path]) -> list[str]:
    """Every group that has options, nested groups as ``prepare/data``; Hydra's own settings are left out."""
    return sorted({group for folder in folders for group in _groups_below(folder, folder)})


def _groups_below(folder: Path, root: Path) -> Iterator[str]:
    for child in sorted(folder.iterdir()):
        if child.is_dir() and child.name not in ("hydra", "__pycache__"):
            if any(child.glob("*.yaml")):
                yield child.relative_to(root).as_posix()
            yield from _groups_below(child, root)


def description(file: Path) -> str:
    """The first comment of a YAML file, which says in one line what the option is."""
    for line in file.read_text(encoding="utf-8").splitlines():
        text = line.strip()
        if text.startswith("# @package"):
            continue
        if text.startswith("#"):
            return text.lstrip("# ").rstrip()
        if text:
            break
    return ""
