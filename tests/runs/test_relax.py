"""`sample.py task=relax` as a user meets it: formats, results, bad input."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule

Door = Callable[..., subprocess.CompletedProcess[str]]
Tiny = Callable[[str], list[str]]
SHORT = ("sampler=ddpm", "task=relax", "task.t_start=4", "task.n_shown=2")


def shaken(name: str, by: float = 0.05) -> Atoms:
    found = molecule(name)
    found.positions += np.random.default_rng(0).normal(scale=by, size=found.positions.shape)
    return found


@pytest.mark.run
def test_relax(door: Door, tiny: Tiny, tmp_path: Path) -> None:
    """One training, then files of several formats, good and bad."""
    run = tmp_path / "run"
    small = ("trainer.max_epochs=1", "task.n_denoised=0", "task.n_generated=0")
    trained = door("train", *tiny("morered_ddpm_molecules"), *small, f"paths.output_dir={run}")
    assert trained.returncode == 0, trained.stdout + trained.stderr
    large = molecule("C6H6") + Atoms("CH4", molecule("CH4").positions + np.array([0.0, 0.0, 4.0]))
    start = [shaken("CH3OH"), shaken("CH4"), Atoms("O", [[0.0, 0.0, 9.0]]), shaken("SiH4"), large]
    for name in ("start.xyz", "start.extxyz"):
        ase.io.write(tmp_path / name, start)
    ase.io.write(tmp_path / "start.sdf", start[0])
    ase.io.write(tmp_path / "minima.xyz", [molecule("CH3OH"), molecule("CH4"), *start[2:]])

    relaxed = {}
    for name, options in {
        "start.xyz": ("reference=minima.xyz", "task.controls.mmff=true", "sampler.record_every=2"),
        "start.extxyz": (),
        "start.sdf": (),
    }.items():
        # The task is chosen here; the checkpoint was trained with another.
        found = door("sample", f"ckpt={run}", *SHORT, f"input={name}", f"out=new/{name}.extxyz", *options)
        assert found.returncode == 0, found.stdout + found.stderr
        relaxed[name] = ase.io.read(tmp_path / "new" / f"{name}.extxyz", index=":")
        if name == "start.xyz":
            said = found.stdout + found.stderr
            assert "structure 2: a single atom" in said
            assert "Si in structure 3 is not among the elements" in said
            assert "trained on at most" in said

    assert [len(one) for one in relaxed["start.xyz"]] == [6, 5, 1, 5, 17]
    assert relaxed["start.xyz"][0].info["steps"] == 4
    assert {"rmsd_to_start", "rmsd_to_reference", "converged"} <= relaxed["start.xyz"][0].info.keys()
    for one, other in zip(relaxed["start.xyz"], relaxed["start.extxyz"], strict=True):
        assert np.allclose(one.positions, other.positions, atol=1e-4)
    assert np.allclose(relaxed["start.sdf"][0].positions, relaxed["start.xyz"][0].positions, atol=1e-2)

    # Results and the report are in the run directory, with something to play.
    folders = sorted(run.glob("samples/*"))
    assert len(folders) == 3
    results = [json.loads((folder / "results.json").read_text()) for folder in folders]
    assert sum("relaxation_mmff94_rmsd_ratio" in one["scalars"] for one in results) == 1
    (path,) = run.glob("samples/*/trajectories.extxyz")
    assert len(ase.io.read(path, index=":")) > len(start)
    page = (run / "report.html").read_text()
    assert "Distance to the minimum" in page
    assert "MMFF94" in page

    (tmp_path / "text.xyz").write_text("no structures\n")
    for options, code, line in (
        (("input=text.xyz",), 1, "text.xyz: holds no structure"),
        (("input=start.xyz", "task.control.gfn2=true"), 2, "task.control"),
    ):
        found = door("sample", f"ckpt={run}", *SHORT, *options)
        assert found.returncode == code, found.stdout + found.stderr
        (error,) = [one for one in found.stderr.splitlines() if one.startswith("error:")]
        assert line in error
        assert "Traceback" not in found.stderr

    # Drawn structures go to a file in the same way.
    found = door("sample", f"ckpt={run}", "sampler.n_samples=3", "sampler.max_steps=3", "out=drawn.extxyz")
    assert found.returncode == 0, found.stdout + found.stderr
    assert len(ase.io.read(tmp_path / "drawn.extxyz", index=":")) == 3
