"""A run under a memory cap finds its batch size, stays below the cap, and keeps the size when it is resumed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from hydramol.core.errors import ConfigError
from hydramol.runtime.run import _resumed

Door = Callable[..., subprocess.CompletedProcess[str]]

N_TRAIN = 8
# A step takes 0.3 GB for the weights and some 0.15 GB a molecule, besides about 0.5 GB of Python and libraries.
WIDE = [
    "net.n_layers=8", "net.width=256", "net.n_rbf=8", "net.attention=dense", "data.max_heavy_atoms=7",
    f"data.train_size={N_TRAIN}", "data.valid_size=2", "data.test_size=2", "trainer.accelerator=cpu",
    "trainer.max_epochs=1", "task=none",
]  # fmt: skip


def batch_size(run: Path) -> int:
    return int(yaml.safe_load((run / "config.yaml").read_text())["batching"]["batch_size"])


@pytest.mark.run
def test_a_run_under_a_cap(door: Door, tmp_path: Path) -> None:
    run, cap = tmp_path / "run", 1.3
    result = door("train", *WIDE, f"find_batch_size.memory_gb={cap}", f"paths.output_dir={run}")
    assert result.returncode == 0, result.stderr
    found = batch_size(run)
    assert 1 <= found < N_TRAIN
    (line,) = [line for line in result.stderr.splitlines() if "batching.batch_size=" in line]
    assert f"batching.batch_size={found}: the largest below {cap:g} GB" in line
    summary = json.loads((run / "summary.json").read_text())
    assert summary["peak_memory_mb"]["process"] < 1.1 * cap * 1024
    assert summary["batches_per_epoch"] == -(-N_TRAIN // found)

    resumed, _ = _resumed(run, ["trainer.max_epochs=2"])
    assert resumed["batching"]["batch_size"] == found
    with pytest.raises(ConfigError, match="keeps its batch size"):
        _resumed(run, [f"resume={run}", "find_batch_size.memory_gb=8"])


@pytest.mark.run
def test_not_even_one_molecule(door: Door, tmp_path: Path) -> None:
    result = door("train", *WIDE, "find_batch_size.memory_gb=0.1", f"paths.output_dir={tmp_path / 'run'}")
    assert result.returncode == 2, result.stderr
    errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "find_batch_size.memory_gb=0.1: a training step of one molecule needs more" in errors[0]
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "run" / "config.yaml").exists()
