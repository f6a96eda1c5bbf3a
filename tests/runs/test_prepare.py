"""The builder of the embedded data, from the command line to a data set that can be trained on."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hydramol.data.embedded import read_packed, verify


@pytest.mark.run
def test_prepare_molecules(door: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    asked = ["data=molecules", "data.n_molecules=4", "data.max_heavy_atoms=3", f"paths.data_dir={tmp_path / 'built'}"]
    result = door("prepare", *asked, f"paths.cache_dir={tmp_path / 'cache'}")
    assert result.returncode == 0, result.stdout + result.stderr
    packed = tmp_path / "built" / "molecules.npz"
    verify(packed)
    arrays = read_packed(packed)
    assert len(arrays["n_atoms"]) == len(set(arrays["smiles"])) == 4

    packed.write_bytes(packed.read_bytes()[:100])
    again = door("prepare", *asked, f"paths.cache_dir={tmp_path / 'cache'}")  # finished work is taken from the cache
    assert again.returncode == 0, again.stdout + again.stderr
    assert read_packed(packed)["smiles"] == arrays["smiles"]
