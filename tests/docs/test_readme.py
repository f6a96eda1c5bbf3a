"""The commands of the README are accepted."""

from __future__ import annotations

import re
import shlex
import tomllib
from pathlib import Path

import pytest

from hydramol.runtime.check import ConfigErrors
from hydramol.runtime.compose import composition

README = Path(__file__).resolve().parents[2] / "README.md"
COMMANDS = re.findall(r"^python (train\.py [^#\n]*?) *(?:#.*)?$", README.read_text(), re.MULTILINE)


def test_the_readme_shows_commands() -> None:
    assert len(COMMANDS) >= 6


def test_make_targets_exist(root: Path) -> None:
    targets = set(re.findall(r"^([\w-]+):", (root / "Makefile").read_text(), re.MULTILINE))
    for page in ("README.md", "CONTRIBUTING.md"):
        named = re.findall(r"(?:^|`)make ([\w-]+)", (root / page).read_text(), re.MULTILINE)
        assert named
        assert set(named) <= targets


def test_ci_runs_the_readmes_test_command(root: Path) -> None:
    lines = (root / ".ci" / "run").read_text().splitlines()
    assert [line for line in lines if line.startswith("make")] == ["make test", "make lint", "make docs"]


def test_extras_exist(root: Path) -> None:
    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    text = README.read_text()
    for name in set(extras) - {"dev"}:
        assert f"`{name}`" in text or f"hydramol[{name}]" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_command_is_accepted(command: str) -> None:
    words = [word for word in shlex.split(command)[1:] if word != "-m" and not word.startswith("resume=")]
    # A sweep is checked by the first value of each key.
    overrides = [re.sub(r"=([^,\[]*),.*", r"=\1", word) for word in words]
    if "modle.lr=1" in overrides:
        with pytest.raises(ConfigErrors, match="did you mean model"):
            composition("train", overrides)
    else:
        assert composition("train", overrides).errors() == []
