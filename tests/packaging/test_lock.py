"""The lock: exact, complete, what is installed, and with one known contradiction."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

NAMED_BY_USERS = [
    "hydra-core",
    "omegaconf",
    "pytorch-lightning",
    "torch",
    "torch-geometric",
    "schnetpack",
    "peft",
    "wandb",
    "tensorboard",
]


@pytest.fixture(scope="module")
def lock(root: Path) -> dict[str, str]:
    """Version by canonical name; fails on a line that is not an exact pin."""
    pins = {}
    for line in (root / "requirements.lock").read_text().splitlines():
        if line and not line.startswith("#"):
            match = re.fullmatch(r"([A-Za-z0-9._-]+)==([0-9][A-Za-z0-9.!]*)", line)
            assert match, f"not an exact pin: {line!r}"
            assert canonicalize_name(match[1]) not in pins, f"twice: {line}"
            pins[canonicalize_name(match[1])] = match[2]
    return pins


@pytest.fixture(scope="module")
def project(root: Path) -> dict:
    """The parsed pyproject.toml."""
    return tomllib.loads((root / "pyproject.toml").read_text())


@pytest.mark.parametrize("name", NAMED_BY_USERS)
def test_named_package_is_locked(lock: dict[str, str], name: str) -> None:
    assert name in lock


def test_lock_satisfies_every_range(lock: dict[str, str], project: dict) -> None:
    extras = project["project"]["optional-dependencies"]
    wanted = [*project["project"]["dependencies"], *(line for extra in extras.values() for line in extra)]
    for requirement in map(Requirement, wanted):
        name = canonicalize_name(requirement.name)
        if name != "hydramol":
            assert name in lock, f"{name} is asked for and not locked"
            assert requirement.specifier.contains(lock[name]), f"{requirement} against {lock[name]}"


def test_all_names_every_extra_for_users(project: dict) -> None:
    extras = project["project"]["optional-dependencies"]
    (line,) = extras["all"]
    assert Requirement(line).extras == set(extras) - {"all", "dev"}


def test_override_is_one(root: Path, project: dict) -> None:
    lines = [line for line in (root / "requirements.override").read_text().splitlines() if not line.startswith("#")]
    assert lines == project["tool"]["uv"]["override-dependencies"]


def test_installed_is_locked(lock: dict[str, str]) -> None:
    wrong = {}
    for name, version in lock.items():
        installed = metadata.version(name).split("+")[0]  # torch says +cpu or +cu130
        if installed != version:
            wrong[name] = installed
    assert not wrong


def test_check_reports_the_one_known_contradiction() -> None:
    uv = Path(sys.executable).with_name("uv")
    if not uv.exists():
        pytest.skip("uv is not installed here; plain pip was used")
    done = subprocess.run([uv, "pip", "check", "--python", sys.executable], capture_output=True, text=True, check=False)
    found = [line for line in done.stderr.splitlines() if line.startswith("The package")]
    assert len(found) == 1
    assert re.fullmatch(r"The package `schnetpack` requires `sympy<=1.12`, but `.*` is installed", found[0])


def test_no_address_or_machine_path(root: Path) -> None:
    for name in ("requirements.lock", "requirements.override", "pyproject.toml", "Makefile", "scripts/install.sh"):
        text = (root / name).read_text()
        assert not re.search(r"https?://|file:|--index-url|@ ", text), name
