"""The commands of the README are accepted."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

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


@pytest.mark.run
@pytest.mark.parametrize("command", [command for command in COMMANDS if "resume" not in command])
def test_command_is_accepted(root: Path, tmp_path: Path, command: str) -> None:
    words = [word for word in shlex.split(command) if word not in ("check=true", "-m")]
    # Sweeps are checked one run at a time: the first value of each.
    words = [re.sub(r"=([^,\[]*),.*", r"=\1", word) for word in words]
    where = [f"paths.output_dir={tmp_path}", "check=true"]
    done = subprocess.run(
        [sys.executable, *words, *where], cwd=root, capture_output=True, text=True, check=False, timeout=300
    )
    expected = 2 if "modle" in command else 0
    assert done.returncode == expected, done.stdout + done.stderr
    if expected == 2:
        assert "did you mean" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1
