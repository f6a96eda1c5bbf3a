"""The builder: repeatable, resumable, the same for any number of workers, and the maker of the embedded file."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from hydramol.core.engines import versions
from hydramol.core.errors import HydramolError
from hydramol.data import embedded
from hydramol.prepare.molecules import MoleculesBuilder
from hydramol.prepare.molecules.build import ENGINES, SHARD_SIZE, Shard, relax_shard
from hydramol.prepare.molecules.generate import draw_smiles
from hydramol.prepare.molecules.relax import Relaxation


@pytest.fixture
def _engines() -> None:
    pytest.importorskip("tblite")


@pytest.mark.usefixtures("_engines")
def test_shipped_command_makes_the_shipped_molecules(tmp_path: Path) -> None:
    manifest = embedded.manifest_of(embedded.path_of("molecules"))
    if versions(*ENGINES, extra="qm") != manifest["engines"]:
        pytest.skip("the engines here are of other versions than those the embedded file was made with")
    shipped, n = embedded.load("molecules"), 5
    settings = manifest["settings"]
    n_atoms = int(shipped["n_atoms"][:n].sum())

    MoleculesBuilder(
        tmp_path / "few",
        n_molecules=n,
        max_heavy_atoms=settings["max_heavy_atoms"],
        seed=settings["seed"],
        fmax=settings["fmax"],
    ).run()
    made = embedded.read_packed(tmp_path / "few.npz")
    assert made["smiles"] == shipped["smiles"][:n]
    assert np.array_equal(made["z"], shipped["z"][:n_atoms])
    assert np.sqrt(np.mean((made["pos"] - shipped["pos"][:n_atoms]) ** 2)) < 1e-3
    assert np.allclose(made["energy"], shipped["energy"][:n], atol=1e-5)


@pytest.mark.usefixtures("_engines")
def test_result_is_the_same_for_two_workers_and_after_an_interruption(tmp_path: Path) -> None:
    n = SHARD_SIZE + 3
    manifest = MoleculesBuilder(tmp_path / "one", n, max_heavy_atoms=3, seed=4).run()
    content = (tmp_path / "one.npz").read_bytes()
    embedded.verify(tmp_path / "one.npz")
    shards = sorted((tmp_path / "one.work").glob("*/*.json"))
    assert len(shards) >= 2

    # What a killed run leaves: the first shard is there, the next one is not.
    times = shards[0].stat().st_mtime_ns
    shards[1].unlink()
    (tmp_path / "one.npz").unlink()
    assert MoleculesBuilder(tmp_path / "one", n, max_heavy_atoms=3, seed=4, n_workers=2).run() == manifest
    assert (tmp_path / "one.npz").read_bytes() == content
    assert shards[0].stat().st_mtime_ns == times
    assert shards[1].is_file()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["one.json", "one.npz", "one.work"]


@pytest.mark.usefixtures("_engines")
def test_kept_shard_of_other_molecules_is_not_used(tmp_path: Path) -> None:
    relaxation = Relaxation()
    relax_shard(relaxation, 0, Shard(0, ["C"]), tmp_path)
    other = relax_shard(relaxation, 0, Shard(0, ["N"]), tmp_path)
    assert other[0] is not None
    assert sorted(other[0].z) == [1, 1, 1, 7]
    again = relax_shard(relaxation, 0, Shard(0, ["N"]), tmp_path)
    assert again[0] is not None
    assert np.array_equal(again[0].pos, other[0].pos)


@pytest.mark.usefixtures("_engines")
def test_too_few_molecules_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(HydramolError, match=r"only \d+ molecules of up to 1 heavy atoms"):
        MoleculesBuilder(tmp_path / "few", 5, max_heavy_atoms=1).run()
    assert not (tmp_path / "few.npz").exists()


@pytest.mark.parametrize("wrong", [{"n_molecules": 0}, {"n_workers": 0}, {"seed": -1}, {"fmax": 0.0}])
def test_wrong_arguments_are_named(tmp_path: Path, wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        MoleculesBuilder(tmp_path / "set", **wrong)


def test_shards_are_the_drawn_molecules_in_order(tmp_path: Path) -> None:
    builder = MoleculesBuilder(tmp_path / "set", seed=2)
    started = time.monotonic()
    shards = [shard for shard, _ in zip(builder._shards(), range(2), strict=False)]
    drawn = draw_smiles(2, 9)
    assert [shard.first for shard in shards] == [0, SHARD_SIZE]
    assert [smiles for shard in shards for smiles in shard.smiles] == [next(drawn) for _ in range(2 * SHARD_SIZE)]
    assert time.monotonic() - started < 60
