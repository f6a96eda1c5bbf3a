"""Dynamics with GFN2-xTB: repeatable, resumable, each frame with the minimum of its own basin."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from hydramol.core.errors import DataError
from hydramol.data import embedded
from hydramol.data.md_pairs import read_md
from hydramol.evaluation import gfn2
from hydramol.prepare.md_pairs import MDPairsBuilder
from hydramol.prepare.md_pairs import build as build_module
from hydramol.prepare.md_pairs.build import run_molecule
from hydramol.prepare.md_pairs.dynamics import Dynamics, Frame

pytest.importorskip("tblite")
QUICK = {"n_frames": 2, "interval": 5.0, "equilibration": 10.0, "fmax": 0.05}
WATER = (np.array([8, 1, 1]), np.array([[0.0, 0.0, 0.12], [0.0, 0.76, -0.48], [0.0, -0.76, -0.48]]))


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    return Dynamics(**QUICK)(*WATER, seed=0, molecule=3)


def test_frames_relax_to_the_minimum_of_water(frames: list[Frame]) -> None:
    best = gfn2.relax(*WATER, fmax=0.01)
    assert best is not None
    assert [frame.number for frame in frames] == [0, 1]
    for frame in frames:
        assert frame.energy > frame.energy_reference
        assert frame.energy_reference == pytest.approx(best.energy, abs=2e-3)
        assert frame.energy == pytest.approx(gfn2.energy_of(WATER[0], frame.pos), abs=1e-4)
        assert np.abs(frame.pos - frame.pos_reference).max() > 1e-3
    assert not np.allclose(frames[0].pos, frames[1].pos, atol=1e-3)


def test_a_run_depends_on_seed_and_number_alone(frames: list[Frame]) -> None:
    np.random.seed(7)  # noqa: NPY002
    again = Dynamics(**QUICK)(*WATER, seed=0, molecule=3)
    np.testing.assert_allclose(again[1].pos, frames[1].pos, atol=1e-6)
    other = Dynamics(**QUICK)(*WATER, seed=0, molecule=4)
    assert not np.allclose(other[1].pos, frames[1].pos, atol=1e-2)


def test_frames_of_another_molecule_are_dropped() -> None:
    """Two nitrogen atoms beyond the length of a bond, which relax to a molecule."""
    z, pos = np.array([7, 7]), np.array([[0.0, 0.0, 0.0], [1.8, 0.0, 0.0]])
    short = {**QUICK, "equilibration": 0.0, "interval": 1.0}
    assert Dynamics(**short)(z, pos / 1.6, seed=0, molecule=0)
    assert not Dynamics(**short)(z, pos, seed=0, molecule=0)


def test_finished_molecules_stay_and_the_file_is_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Fresh interpreters take seconds to start; tests/runs builds with real ones.
    monkeypatch.setattr(build_module, "ProcessPoolExecutor", lambda n, **_: ThreadPoolExecutor(n))

    def build(n_molecules: int) -> dict[str, object]:
        return MDPairsBuilder(tmp_path / "out", n_molecules=n_molecules, max_heavy_atoms=2, **QUICK).run()

    build(1)
    (kept,) = (tmp_path / "out" / "work").glob("*/*.json")
    time = kept.stat().st_mtime_ns
    manifest = build(2)
    content = (tmp_path / "out" / "molecules_md.npz").read_bytes()
    assert kept.stat().st_mtime_ns == time
    assert (manifest["n_molecules"], manifest["n_frames"], manifest["n_dropped"]) == (2, 4, 0)
    assert set(manifest["engines"]) == {"tblite", "ase", "numpy"}  # type: ignore[call-overload]
    (tmp_path / "out" / "molecules_md.npz").unlink()
    assert build(2) == manifest
    assert (tmp_path / "out" / "molecules_md.npz").read_bytes() == content

    raw, source = read_md(tmp_path / "out" / "molecules_md.npz")
    shipped = embedded.load(source)
    ends = np.cumsum(shipped["n_atoms"])
    start = 0
    for molecule, size in zip(raw["molecule"], raw["n_atoms"], strict=True):
        expected = shipped["z"][ends[molecule] - size : ends[molecule]]
        np.testing.assert_array_equal(raw["z"][start : start + size], expected)
        start += size
    assert (raw["energy"] > raw["energy_reference"]).all()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "molecules_md.json", "molecules_md.npz", "work"]  # fmt: skip


def test_kept_frames_come_back_exactly(frames: list[Frame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Dynamics, "__call__", lambda *_: frames)
    run_molecule(Dynamics(), 0, 3, *WATER, tmp_path)
    monkeypatch.setattr(Dynamics, "__call__", lambda *_: pytest.fail("was run again"))
    again = run_molecule(Dynamics(), 0, 3, *WATER, tmp_path)
    for one, other in zip(frames, again, strict=True):
        assert one._replace(pos=0, pos_reference=0) == other._replace(pos=0, pos_reference=0)
        np.testing.assert_array_equal(one.pos, other.pos)
        np.testing.assert_array_equal(one.pos_reference, other.pos_reference)


def test_no_frames_at_all_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MDPairsBuilder, "_run_all", lambda *_: iter([(0, [])]))
    with pytest.raises(DataError, match="no frame relaxed to its molecule"):
        MDPairsBuilder(tmp_path, n_molecules=1).run()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("wrong", [{"n_molecules": 0}, {"n_workers": 0}, {"temperature": 0.0}, {"timestep": -1.0}])
def test_wrong_arguments_are_named(tmp_path: Path, wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        MDPairsBuilder(tmp_path, **wrong)
