"""QM7-X: converted exactly, resumable, without duplicates, without leaks, in bounded memory; damage is one line."""

from __future__ import annotations

import json
import lzma
import os
import shutil
import tracemalloc
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hydramol.core.errors import DataError, OutputError
from hydramol.data.molecule_pairs import group_splits
from hydramol.data.qm7x import QM7X, convert, shard
from hydramol.data.qm7x.choose import minima, pairs
from hydramol.data.qm7x.files import PUBLISHED_MD5
from hydramol.data.qm7x.names import Name, parse, read_duplicates
from hydramol.data.qm7x.shard import Frames
from hydramol.data.qm7x.unpack import unpack
from tests.data.synthetic_qm7x import structures, write_hdf5, write_root

DUPLICATES = ["Geom-m2-i1-c2-opt", "Geom-m9-i2-c1-opt"]
SIZES = {"train_size": 8, "valid_size": 2, "test_size": None}
ALL = {**structures(range(1, 7)), **structures(range(7, 13))}
BY_NAME = {name: values for group in ALL.values() for name, values in group.items()}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    root = tmp_path_factory.mktemp("qm7x") / "root"
    return root, write_root(root, DUPLICATES)


@pytest.fixture
def copy(made: tuple[Path, dict[str, str]], tmp_path: Path) -> tuple[Path, dict[str, str]]:
    """A root that a test may spoil."""
    shutil.copytree(made[0], tmp_path / "root")
    return tmp_path / "root", made[1]


def read(root: Path, cache: Path, **changes: Any) -> QM7X:
    arguments: dict[str, Any] = {"parts": [1000, 2000], "checksums": None, "cache_dir": str(cache), **SIZES, **changes}
    return QM7X(str(root), **arguments)


def conformer(name: str) -> str:
    return name.rsplit("-", 1)[0]


# --- what is read ---------------------------------------------------------------------------------------------------


def test_minima_are_read_exactly_and_without_duplicates(made: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    root, md5 = made
    data = read(root, tmp_path, checksums=md5)
    expected = {name for name in BY_NAME if name.endswith("-opt")} - set(DUPLICATES)
    assert set(data.names) == expected
    assert len(data) == 12 * 4 - 2
    batch = data.gather(torch.arange(len(data)))
    assert "pos_reference" not in batch
    for item, name in enumerate(data.names):
        one, values = batch.select(torch.tensor([item])), BY_NAME[name]
        np.testing.assert_array_equal(one["z"].numpy(), values["atNUM"])
        np.testing.assert_array_equal(one["pos"].numpy(), values["atXYZ"].astype(np.float32))
        assert one["energy"].item() == values["ePBE0+MBD"].item()
    assert (batch["z"].dtype, batch["pos"].dtype, batch["energy"].dtype) == (torch.int64, torch.float32, torch.float64)


@pytest.mark.parametrize("pair", ["random", "smallest", "median", "largest", "all"])
def test_pairs_belong_together(made: tuple[Path, dict[str, str]], tmp_path: Path, pair: str) -> None:
    data = read(made[0], tmp_path, selection="pairs", pair=pair)
    assert len(data) == 46 * (4 if pair == "all" else 1)
    assert not {conformer(name) for name in data.names} & {conformer(name) for name in DUPLICATES}
    batch = data.gather(torch.arange(len(data)))
    for item, name in enumerate(data.names):
        one = batch.select(torch.tensor([item]))
        minimum = BY_NAME[f"{conformer(name)}-opt"]
        np.testing.assert_array_equal(one["pos"].numpy(), BY_NAME[name]["atXYZ"].astype(np.float32))
        np.testing.assert_array_equal(one["pos_reference"].numpy(), minimum["atXYZ"].astype(np.float32))
        if pair in ("smallest", "median", "largest"):
            others = sorted((BY_NAME[f"{conformer(name)}-d{i}"]["sRMSD"].item(), i) for i in range(1, 5))
            place = {"smallest": 0, "median": 1, "largest": 3}[pair]
            assert name.endswith(f"-d{others[place][1]}")


def test_random_pairs_depend_on_the_seed_and_the_name_alone(made: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    one = read(made[0], tmp_path, selection="pairs")
    again = read(made[0], tmp_path, selection="pairs", parts=[2000], train_size=3, valid_size=1)
    assert set(again.names) < set(one.names)
    other = read(made[0], tmp_path, selection="pairs", pair_seed=1)
    assert set(other.names) != set(one.names)
    assert {name.rsplit("-", 1)[1] for name in one.names} == {"d1", "d2", "d3", "d4"}


def test_types_of_the_source_do_not_matter(tmp_path: Path) -> None:
    content = structures([1, 2, 3], n_displaced=1)
    for group in content.values():
        for name, values in group.items():
            group[name] = {**values, "atXYZ": values["atXYZ"].astype(np.float32), "atNUM": values["atNUM"].astype("i2"),
                           "sRMSD": values["sRMSD"].reshape(())}  # fmt: skip
    write_hdf5(tmp_path / "1000.hdf5", content)
    sizes = {"train_size": 1, "valid_size": 1, "test_size": 1}
    data = read(tmp_path, tmp_path / "c", parts=[1000], remove_duplicates=False, selection="pairs", **sizes)
    batch = data.gather(torch.arange(len(data)))
    assert (batch["pos"].dtype, batch["pos_reference"].dtype, batch["z"].dtype) == (
        torch.float32, torch.float32, torch.int64)  # fmt: skip
    first = content["1"][data.names[0]]["atXYZ"]
    np.testing.assert_array_equal(batch.select(torch.tensor([0]))["pos"].numpy(), first)


def test_small_molecules_alone(made: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    whole = read(made[0], tmp_path, selection="pairs")
    batch = whole.gather(torch.arange(len(whole)))
    heavy = batch.sum((batch["z"] > 1).long())
    limit = int(heavy.median())
    few = read(
        made[0], tmp_path, selection="pairs", max_heavy_atoms=limit, train_size=0.4, valid_size=0.2, test_size=None
    )
    kept = batch.select(heavy <= limit)
    assert 0 < len(few) < len(whole)
    found = few.gather(torch.arange(len(few)))
    assert torch.equal(found["pos"], kept["pos"])
    assert torch.equal(found["pos_reference"], kept["pos_reference"])


# --- splits ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("selection", ["equilibrium", "pairs"])
def test_no_molecule_is_on_two_sides(made: tuple[Path, dict[str, str]], tmp_path: Path, selection: str) -> None:
    data = read(made[0], tmp_path, selection=selection)
    sides = [set(data.molecule[items]) for items in data.splits.values()]
    assert [len(side) for side in sides] == [8, 2, 2]
    assert sum(len(items) for items in data.splits.values()) == len(data)
    assert len(set.union(*sides)) == 12


@given(
    groups=st.lists(st.integers(1, 30), min_size=20, max_size=200), fraction=st.floats(0.1, 0.4), seed=st.integers(0, 9)
)
@settings(deadline=None, max_examples=60)
def test_group_splits_are_disjoint_in_groups_and_complete(groups: list[int], fraction: float, seed: int) -> None:
    known = np.unique(np.array([*groups, *range(1, 11)]))
    items = np.concatenate([np.array(groups), np.arange(1, 11)])
    splits = group_splits(items, None, fraction, 1, seed)
    sides = [set(items[part]) for part in splits.values()]
    assert sum(len(side) for side in sides) == len(known) == len(set.union(*sides))
    np.testing.assert_array_equal(np.sort(np.concatenate(list(splits.values()))), np.arange(len(items)))
    assert len(sides[1]) == int(fraction * len(known) + 1e-6)
    order = np.random.default_rng(seed).permutation(len(items))
    shuffled = group_splits(items[order], None, fraction, 1, seed)
    assert [set(items[order][part]) for part in shuffled.values()] == sides


def test_the_published_sizes_are_of_molecules(made: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"by molecule: the splits ask for 5750 of 12 items"):
        read(made[0], tmp_path, train_size=4500, valid_size=1250)


# --- conversion -----------------------------------------------------------------------------------------------------


def test_conversion_continues_with_the_parts_that_are_missing(
    copy: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    root, _ = copy
    cache = tmp_path / "cache"
    whole = (root / "2000.xz").read_bytes()
    (root / "2000.xz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"2000\.xz: is cut off"):
        read(root, cache)
    (kept,) = cache.iterdir()
    assert kept.name.startswith("qm7x-1000-")
    time = kept.stat().st_mtime_ns
    (root / "2000.xz").write_bytes(whole)
    assert len(read(root, cache)) == 46
    assert kept.stat().st_mtime_ns == time
    assert len(list(cache.iterdir())) == 2


def test_an_interrupted_conversion_leaves_nothing_under_a_final_name(
    made: tuple[Path, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, seen = convert._structure, []

    def interrupted(group: Any, where: str) -> Any:
        seen.append(where)
        if len(seen) == 30:
            raise KeyboardInterrupt
        return real(group, where)

    monkeypatch.setattr(convert, "_structure", interrupted)
    with pytest.raises(KeyboardInterrupt):
        read(made[0], tmp_path)
    assert [path.name.split("-")[1] for path in tmp_path.iterdir()] == ["1000"]
    monkeypatch.undo()
    assert len(read(made[0], tmp_path)) == 46


def test_what_killed_conversions_left_is_removed_in_time(made: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    old, fresh = tmp_path / ".qm7x-1000.1.hdf5.tmp", tmp_path / ".qm7x-1000.2.hdf5.tmp"
    for file in (old, fresh):
        file.write_bytes(b"left")
    os.utime(old, (0, 0))
    read(made[0], tmp_path)
    assert not old.exists()
    assert fresh.exists()


def test_displaced_structures_are_converted_when_they_are_asked_for(
    made: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    read(made[0], tmp_path)
    assert all("-minima-" in path.name for path in tmp_path.iterdir())
    read(made[0], tmp_path, selection="pairs")
    assert len(list(tmp_path.glob("*-all-*"))) == 2
    for path in tmp_path.glob("*-minima-*"):
        path.unlink()
    assert len(read(made[0], tmp_path)) == 46  # the shards with everything serve
    assert not list(tmp_path.glob("*-minima-*"))


def test_the_root_may_be_read_only_and_unpacked(copy: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    root, md5 = copy
    packed = read(root, tmp_path / "a", checksums=md5)
    write_hdf5(root / "1000.hdf5", structures(range(1, 7)))
    (root / "1000.xz").unlink()
    before = {path: path.stat().st_mtime_ns for path in root.iterdir()}
    for path in (*before, root):
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        data = read(root, tmp_path / "b", checksums=md5)
        assert {path: path.stat().st_mtime_ns for path in root.iterdir()} == before
    finally:
        root.chmod(0o755)
    everything = torch.arange(len(data))
    assert torch.equal(data.gather(everything)["pos"], packed.gather(everything)["pos"])


def test_unpacking_takes_the_same_memory_for_any_file(tmp_path: Path) -> None:
    n_bytes = 64 << 20
    (tmp_path / "1000.xz").write_bytes(lzma.compress(bytes(n_bytes), preset=0))
    tracemalloc.start()
    unpack(tmp_path / "1000.xz", tmp_path / "out", {})
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / "out").stat().st_size == n_bytes
    assert peak < 6 << 20


def test_converting_and_reading_take_the_memory_of_a_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a file four times as large not much more is held; reading a few structures of it takes little."""
    monkeypatch.setattr(shard, "BLOCK", 500)
    peaks, n_bytes = {}, {}
    for n_molecules in (4, 16):
        part = write_hdf5(tmp_path / f"{n_molecules}", structures(range(1, n_molecules + 1), 1, 20, n_atoms=40))
        tracemalloc.start()
        convert.convert(part, tmp_path / f"{n_molecules}.h5")
        peaks[n_molecules] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        n_bytes[n_molecules] = 13 * int(Frames.read(tmp_path / f"{n_molecules}.h5").n_atoms.sum())
    assert peaks[16] - peaks[4] < 0.25 * (n_bytes[16] - n_bytes[4])
    frames = Frames.read(tmp_path / "16.h5")
    assert len(frames.n_atoms) == 16 * 2 * 21
    tracemalloc.start()
    frames.atoms(np.flatnonzero(frames.name[:, 3] == 0))
    reading = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert reading < n_bytes[16] / 3


def test_blocks_are_written_and_read_in_any_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard, "BLOCK", 50)
    convert.convert(write_hdf5(tmp_path / "1000.hdf5", structures([1, 2, 3])), tmp_path / "s.h5")
    frames = Frames.read(tmp_path / "s.h5")
    assert len(frames.n_atoms) == 3 * 4 * 5
    asked = np.random.default_rng(0).integers(0, len(frames.n_atoms), 40)
    z, pos = frames.atoms(asked)
    start = 0
    for row in asked:
        values = BY_NAME[str(Name(*frames.name[row].tolist()))]
        size = len(values["atNUM"])
        np.testing.assert_array_equal(z[start : start + size], values["atNUM"])
        np.testing.assert_array_equal(pos[start : start + size], values["atXYZ"].astype(np.float32))
        start += size
    assert start == len(z)
    assert frames.atoms(asked[:0])[0].shape == (0,)


# --- damage ---------------------------------------------------------------------------------------------------------


def test_other_files_than_the_published_ones_are_refused(copy: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    root, md5 = copy
    cache = tmp_path / "cache"
    with pytest.raises(DataError, match=r"DupMols\.dat: MD5 is [0-9a-f]{32}, and should be 5d886c.*checksums=null"):
        read(root, cache, checksums="published")
    with pytest.raises(DataError, match=r"1000\.xz: MD5 is") as caught:
        read(root, cache, checksums={**md5, "1000.xz": PUBLISHED_MD5["1000.xz"]})
    assert "\n" not in caught.value.line
    assert list(cache.iterdir()) == []
    table = tmp_path / "md5.json"
    table.write_text(json.dumps(md5))
    assert len(read(root, cache, checksums=str(table))) == 46
    unpacked = write_hdf5(root / "2000.hdf5", structures(range(7, 13)))
    with pytest.raises(DataError, match=r"2000\.hdf5: MD5 is"):
        read(root, tmp_path / "other", checksums={unpacked.name: "0" * 32})


def test_eight_parts_and_the_list_have_published_checksums() -> None:
    assert len(PUBLISHED_MD5) == 9
    assert all(len(value) == 32 and int(value, 16) for value in PUBLISHED_MD5.values())


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: (root / "1000.xz").write_bytes(b"no xz at all" * 9), r"1000\.xz: is no sound xz file"),
        (lambda root: (root / "1000.xz").write_bytes(b""), r"1000\.xz: (is cut off|cannot be read as HDF5)"),
        (lambda root: (root / "1000.xz").unlink(), r"neither 1000\.xz nor 1000\.hdf5 is there .*data\.parts"),
        (lambda root: (root / "1000.hdf5").write_bytes(b"junk"), r"1000\.hdf5: cannot be read as HDF5"),
        (lambda root: _cut(root / "1000.hdf5"), r"1000\.hdf5: cannot be read as HDF5: .*truncated"),
        (
            lambda root: (root / "DupMols.dat").unlink(),
            r"DupMols\.dat: the list of duplicates .*remove_duplicates=false",
        ),
        (lambda root: (root / "DupMols.dat").write_text("Geom-1\n"), r"DupMols\.dat: 'Geom-1' is no name"),
        (lambda root: _without(root, "ePBE0+MBD"), r"Geom-m1-i1-c1-opt: is not of the published layout"),
        (lambda root: _without(root, "atXYZ", np.zeros((2, 3))), r"is not of the published layout: shapes"),
        (lambda root: _named(root, "Geom-m1-opt"), r"'Geom-m1-opt' is no name of a QM7-X structure"),
        (lambda root: _without(root, "atXYZ", np.full((7, 3), np.nan)), r"molecule 0: pos is not finite"),
    ],
)
def test_damage_is_one_line(copy: tuple[Path, dict[str, str]], tmp_path: Path, spoil: Any, message: str) -> None:
    spoil(copy[0])
    with pytest.raises(DataError, match=message) as caught:
        read(copy[0], tmp_path / "cache")
    assert "\n" not in caught.value.line
    assert not list((tmp_path / "cache").glob(".*"))


def _cut(path: Path) -> None:
    whole = write_hdf5(path, structures([1])).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def _without(root: Path, key: str, value: np.ndarray | None = None) -> None:
    with h5py.File(write_hdf5(root / "1000.hdf5", structures(range(1, 7))), "r+") as file:
        group = file["1/Geom-m1-i1-c1-opt"]
        del group[key]
        if value is not None:
            group[key] = value


def _named(root: Path, name: str) -> None:
    with h5py.File(write_hdf5(root / "1000.hdf5", structures([1])), "r+") as file:
        file.move("1/Geom-m1-i1-c1-opt", f"1/{name}")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"parts": ["9000"]}, "are no parts of QM7-X"),
        ({"parts": []}, "are no parts of QM7-X"),
        ({"selection": "everything"}, "data.selection: unknown selection"),
        ({"selection": "pairs", "pair": "middle"}, "data.pair: unknown pair 'middle'"),
        ({"checksums": "absent.json"}, "absent.json: checksums cannot be read"),
        ({"root": "absent"}, "absent: no such folder"),
    ],
)
def test_wrong_arguments_are_one_line(
    made: tuple[Path, dict[str, str]], tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        read(Path(changes.pop("root", made[0])), tmp_path, **changes)


def test_the_folder_has_to_be_named() -> None:
    with pytest.raises(DataError, match=r"data\.root: QM7-X needs data\.root \(the folder with 1000\.xz"):
        QM7X()


def test_a_broken_shard_says_how_to_mend_it(made: tuple[Path, dict[str, str]], tmp_path: Path) -> None:
    read(made[0], tmp_path)
    file = min(tmp_path.iterdir())
    file.write_bytes(file.read_bytes()[:-300])
    with pytest.raises(DataError, match="delete it: it will be made again"):
        read(made[0], tmp_path)
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        read(made[0], blocked)


# --- names and choice -----------------------------------------------------------------------------------------------


@given(m=st.integers(1, 9999), i=st.integers(1, 99), c=st.integers(1, 99), frame=st.integers(0, 100))
def test_names_come_back(m: int, i: int, c: int, frame: int) -> None:
    name = Name(m, i, c, frame)
    assert parse(str(name), "here") == name


def test_duplicates_with_and_without_opt(tmp_path: Path) -> None:
    (tmp_path / "d").write_text("Geom-m1-i2-c3\nGeom-m4-i5-c6-opt\n\n")
    assert read_duplicates(tmp_path / "d") == {(1, 2, 3), (4, 5, 6)}


@given(seed=st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_the_order_of_the_file_does_not_matter(seed: int) -> None:
    names = np.array([[m, 1, c, f] for m in (1, 2, 10) for c in (1, 2) for f in range(5)])
    rmsd = np.random.default_rng(1).uniform(size=len(names))
    order = np.random.default_rng(seed).permutation(len(names))
    for kind in ("random", "smallest", "median", "largest", "all"):
        one, other = (pairs(names[o], rmsd[o], {(2, 1, 1)}, kind) for o in (np.arange(len(names)), order))
        np.testing.assert_array_equal(names[one.frames], names[order][other.frames])
        np.testing.assert_array_equal(names[one.minima], names[order][other.minima])
        assert len(one.frames) == (20 if kind == "all" else 5)
    np.testing.assert_array_equal(names[order][minima(names[order], {(2, 1, 1)}).frames][:, :3],
                                  [[1, 1, 1], [1, 1, 2], [2, 1, 2], [10, 1, 1], [10, 1, 2]])  # fmt: skip


def test_a_conformer_without_minimum_is_named() -> None:
    names = np.array([[1, 1, 1, 0], [1, 1, 1, 1], [1, 1, 2, 1]])
    with pytest.raises(DataError, match="Geom-m1-i1-c2 has displaced structures and no minimum"):
        pairs(names, np.zeros(3), set())
