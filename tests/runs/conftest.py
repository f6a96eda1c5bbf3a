"""Small runs of the doors, in this process and in processes of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.data.synthetic_qm7x import write_root

TINY = Path(__file__).parent / "tiny.yaml"
Door = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def qm9_root(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Path:
    """A PyG folder with 1,912 molecules of QM9."""
    root = tmp_path_factory.mktemp("qm9")
    shutil.copytree(shared_data / "morered" / "qm9_dev2000_pyg_raw", root / "raw")
    return root


@pytest.fixture(scope="session")
def qm7x_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made-up molecules in files of QM7-X's layout."""
    root = tmp_path_factory.mktemp("qm7x") / "root"
    write_root(root, ["Geom-m2-i1-c2-opt"])
    return root


@pytest.fixture
def tiny(request: pytest.FixtureRequest) -> Callable[[str], list[str]]:
    """Overrides of a preset that make it tiny."""

    def overrides(preset: str) -> list[str]:
        table = yaml.safe_load(TINY.read_text())
        assert preset in table, f"give {preset} an entry in {TINY.name}"
        found = [str(one) for one in table[preset]]
        for name in ("qm9_root", "qm7x_root"):
            if any(f"${{{name}}}" in one for one in found):
                root = request.getfixturevalue(name)
                found = [one.replace(f"${{{name}}}", str(root)) for one in found]
        return [f"experiment={preset}", *found]

    return overrides


@pytest.fixture
def door(root: Path, tmp_path: Path) -> Door:
    """Runs a door in a process of its own, from an empty folder."""

    def run(name: str, *overrides: str, **options: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, str(root / f"{name}.py"), *overrides]
        if name not in ("train", "distill", "sample"):
            command = [sys.executable, "-m", "hydramol.cli.main", name, *overrides]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "WANDB_MODE": "offline"}
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False, **options
        )  # type: ignore[call-overload]

    return run
