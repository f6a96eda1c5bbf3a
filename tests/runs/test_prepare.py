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


@pytest.mark.run
def test_prepare_pairs_for_relaxation(door: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path) -> None:
    """Dynamics by two workers, then the two files of pairs; and those of thermal displacements."""
    folders = [f"paths.data_dir={tmp_path / 'built'}", f"paths.cache_dir={tmp_path / 'cache'}"]
    short = ["data.n_frames=1", "data.interval=2", "data.equilibration=2", "data.fmax=0.05"]
    small = ["data.n_molecules=null", "data.max_heavy_atoms=2", "data.n_workers=2"]
    made = door("prepare", "data=molecules_md", *short, *small, *folders)
    assert made.returncode == 0, made.stdout + made.stderr
    sizes = ["data.pairs.max_heavy_atoms=2", "data.pairs.valid_size=0.3", "data.pairs.test_size=0.3"]
    for builder, n in (("pairs_xyz_md", "null"), ("pairs_xyz", "2")):
        done = door("prepare", f"data={builder}", f"data.out={tmp_path / builder}", f"data.n={n}", *sizes, *folders)
        assert done.returncode == 0, done.stdout + done.stderr
        start, reference = ((tmp_path / builder / f"{name}.extxyz").read_text() for name in ("start", "reference"))
        assert start.count("Properties=") == reference.count("Properties=") > 0
