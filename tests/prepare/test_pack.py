"""The packed file and its reader."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hydramol.core.errors import DataError, OutputError
from hydramol.data.embedded import read_packed, verify
from hydramol.prepare.molecules.pack import POS_UNIT, npz_bytes, pack, write_packed
from hydramol.prepare.molecules.relax import Relaxed

MAX_ERROR = 2.5e-4  # Angstrom, what the format promises


def molecules(sizes: list[int], seed: int = 0) -> tuple[list[str], list[Relaxed]]:
    rng = np.random.default_rng(seed)
    structures = [
        Relaxed(rng.choice([1, 6, 7, 8, 9], size), rng.normal(size=(size, 3)) * 2, rng.normal()) for size in sizes
    ]
    return [f"C{'C' * i}" for i in range(len(sizes))], structures


@given(sizes=st.lists(st.integers(1, 29), min_size=1, max_size=5), seed=st.integers(0, 1000))
@settings(deadline=None, max_examples=25)
def test_what_is_packed_is_read_back(tmp_path_factory: pytest.TempPathFactory, sizes: list[int], seed: int) -> None:
    smiles, structures = molecules(sizes, seed)
    path = tmp_path_factory.mktemp("pack") / "set.npz"
    manifest = write_packed(path, pack(smiles, structures), {"seed": seed})
    verify(path)
    found = read_packed(path)

    assert found["smiles"] == smiles
    assert found["n_atoms"].tolist() == sizes
    assert found["n_atoms"].dtype == np.int64
    assert found["z"].dtype == np.uint8
    assert np.array_equal(found["z"], np.concatenate([one.z for one in structures]))
    assert np.array_equal(found["energy"], [one.energy for one in structures])
    centred = np.concatenate([one.pos - one.pos.mean(axis=0) for one in structures])
    assert np.abs(found["pos"] - centred).max() <= MAX_ERROR + 1e-12
    assert manifest["n_molecules"] == len(sizes)
    assert manifest["n_atoms"] == sum(sizes)
    assert manifest["seed"] == seed


def test_bytes_depend_on_the_numbers_alone(tmp_path: Path) -> None:
    arrays = pack(*molecules([3, 5]))
    assert npz_bytes(arrays) == npz_bytes({name: array.copy() for name, array in arrays.items()})
    manifest = write_packed(tmp_path / "set.npz", arrays, {})
    content = (tmp_path / "set.npz").read_bytes()
    assert manifest["sha256"] == hashlib.sha256(content).hexdigest()
    with zipfile.ZipFile(tmp_path / "set.npz") as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert sorted(file.name for file in tmp_path.iterdir()) == ["set.json", "set.npz"]


def test_molecules_beyond_the_format_are_refused() -> None:
    far = Relaxed(np.array([1, 1]), np.array([[0.0, 0, 0], [0, 0, 2.5 * POS_UNIT * 2**15]]), 0.0)
    with pytest.raises(DataError, match="too large"):
        pack(["[H][H]"], [far])
    with pytest.raises(DataError, match="too large"):
        pack(*molecules([256]))


def test_full_disk_leaves_no_file_under_the_final_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, content: bytes) -> int:
        self.touch()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OutputError, match="No space left"):
        write_packed(tmp_path / "set.npz", pack(*molecules([3])), {})
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    path = tmp_path / "set.npz"
    write_packed(path, pack(*molecules([3, 5, 4])), {})
    return path


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.6, 0.95])
def test_truncated_file_is_one_clear_line(packed: Path, share: float) -> None:
    content = packed.read_bytes()
    packed.write_bytes(content[: int(share * len(content))])
    for read in (read_packed, verify):
        with pytest.raises(DataError, match=r"set\.npz") as caught:
            read(packed)
        assert "\n" not in caught.value.line


@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(1, 255))
@settings(deadline=None, max_examples=60)
def test_a_changed_byte_never_passes_verify_nor_crashes_the_reader(
    tmp_path_factory: pytest.TempPathFactory, place: float, value: int
) -> None:
    path = tmp_path_factory.mktemp("broken") / "set.npz"
    write_packed(path, pack(*molecules([3, 5, 4])), {})
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= value
    path.write_bytes(content)
    with pytest.raises(DataError, match="sha256"):
        verify(path)
    try:
        read_packed(path)  # some bytes carry no numbers; where they do, the archive's own checksum finds it
    except DataError as error:
        assert "\n" not in error.line  # noqa: PT017


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("z", np.zeros(4, np.uint8), "z has shape"),
        ("pos", np.zeros((12, 2), np.int16), "pos has shape"),
        ("energy", np.zeros(2), "energy has shape"),
        ("energy", np.full(3, np.nan), "not finite"),
        ("n_atoms", np.array([12, 0, 0], np.uint8), "no atoms"),
        ("n_atoms", np.array(12), "shape"),
        ("pos_unit", np.array([1.0, 2.0]), "pos_unit|type"),
        ("smiles", np.array([200, 201], np.uint8), "type"),
    ],
)
def test_wrong_content_is_named(tmp_path: Path, name: str, value: np.ndarray, says: str) -> None:
    path = tmp_path / "set.npz"
    path.write_bytes(npz_bytes({**pack(*molecules([3, 5, 4])), name: value}))
    with pytest.raises(DataError, match=says):
        read_packed(path)


def test_missing_field_file_and_manifest_are_named(tmp_path: Path, packed: Path) -> None:
    np.savez(tmp_path / "other.npz", a=np.zeros(2))
    with pytest.raises(DataError, match="not a packed file"):
        read_packed(tmp_path / "other.npz")
    with pytest.raises(DataError, match="no such file"):
        read_packed(tmp_path / "none.npz")
    with (tmp_path / "plain.npz").open("wb") as stream:
        np.save(stream, np.zeros(2))
    with pytest.raises(DataError):
        read_packed(tmp_path / "plain.npz")
    packed.with_suffix(".json").write_text(json.dumps([1]))
    with pytest.raises(DataError, match="JSON object"):
        verify(packed)
    packed.with_suffix(".json").write_text("{")
    with pytest.raises(DataError, match="not JSON"):
        verify(packed)
    packed.with_suffix(".json").unlink()
    with pytest.raises(DataError, match="manifest"):
        verify(packed)
