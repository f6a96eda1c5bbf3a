"""QM9 from its three sources."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from hydramol.core.errors import DataError, OutputError
from hydramol.core.units import HARTREE_IN_EV
from hydramol.data import qm9_sources
from hydramol.data.qm9 import QM9

SMALL = {"train_size": 0.8, "valid_size": 0.1, "test_size": None}
HEADER = "XYZ_file,Index,SMILES,N_atoms,Elements,XYZ_Ang,HOMO_LUMO_gap_au,InternalEnergy_0K_au\n"
ROWS = (
    """"a.xyz",1,"C",5,"['C','H','H','H','H']","[[-0.0126981359,1.0858041578,0.0080009958],[0.002150416,"""
    """-0.0060313176,0.0019761204],[1.0117308433,1.4637511618,2.765748*^-4],[-0.540815069,1.4475266138,"""
    """-0.8766437152],[-0.5238136345,1.4379326443,0.9063972942]]",0.5048,-40.47893\n"""
    """"b.xyz",2,"N",4,"['N','H','H','H']","[[0.,1.,0.],[0.,0.,-1.5*^-6],[1.,1.,0.],[-1.,1.,0.]]",0.34,-56.5\n"""
)


@pytest.fixture
def reference(shared_data: Path) -> Any:
    return np.load(shared_data / "morered" / "qm9_dev2000.npz", allow_pickle=True)


def _all(data: QM9) -> torch.Tensor:
    return torch.arange(len(data))


def reference_arrays(reference: Any, kept: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    z = reference["z"][kept]
    energies = reference["props"][kept, list(reference["prop_names"]).index("InternalEnergy_0K_au")]
    return z[z > 0], reference["pos"][kept][z > 0], energies * HARTREE_IN_EV


def test_qm9pack_tables_with_mathematica_exponents(tmp_path: Path) -> None:
    file = tmp_path / "qm9_part1.csv"
    file.write_text(HEADER + ROWS)
    found = qm9_sources.read_qm9pack([file, file])
    assert found.z.tolist() == [6, 1, 1, 1, 1, 7, 1, 1, 1] * 2
    assert found.n_atoms.tolist() == [5, 4, 5, 4]
    assert found.names.tolist() == ["C", "N", "C", "N"]
    assert found.pos[2].tolist() == [1.0117308433, 1.4637511618, 2.765748e-4]
    assert found.pos[6].tolist() == [0.0, 0.0, -1.5e-6]
    assert found.energy is not None
    assert found.energy[0] == -40.47893 * HARTREE_IN_EV


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("2.765748*^-4", "2.7x", "cannot be read"),
        ("['N','H','H','H']", "['N','H','H']", "differ in number"),
        ("['N','H','H','H']", "['S','H','H','H']", "element S is not one of"),
        ("InternalEnergy_0K_au", "energy", "cannot be read"),
    ],
)
def test_damaged_tables_are_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    file = tmp_path / "qm9_part1.csv"
    file.write_text((HEADER + ROWS).replace(old, new))
    with pytest.raises(DataError, match=message) as caught:
        qm9_sources.read_qm9pack([file])
    assert caught.value.line.startswith(str(file))


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("qm9pack") is None, reason="qm9pack is an extra: pip install 'hydramol[qm]'"
)
def test_the_whole_of_qm9(tmp_path: Path) -> None:
    data = QM9(cache_dir=str(tmp_path))
    assert len(data) == 130_831
    assert {name: len(items) for name, items in data.splits.items()} == {"train": 55_000, "val": 10_000, "test": 10_000}
    sizes = data.sizes["atom"]
    assert (sizes.min(), sizes.max()) == (3, 29)
    assert sizes.mean() == pytest.approx(18.03, abs=0.01)
    found = data.statistics(data.splits["train"])
    assert found["elements"].tolist() == [1, 6, 7, 8, 9]
    assert float(data.gap.mean()) == pytest.approx(6.86, abs=0.01)
    assert len(list(tmp_path.iterdir())) == 1
    again = QM9(cache_dir=str(tmp_path), max_heavy_atoms=4, **SMALL)
    batch = again.gather(_all(again))
    assert int(batch.sum((batch["z"] > 1).long()).max()) == 4
    assert 30 < len(again) < 100


def test_schnetpack_database(shared_data: Path, tmp_path: Path, reference: Any) -> None:
    root = str(shared_data / "morered" / "qm9_dev2000.db")
    data = QM9(source="schnetpack", root=root, cache_dir=str(tmp_path), **SMALL)
    z, pos, energy = reference_arrays(reference, np.arange(2000))
    batch = data.gather(_all(data))
    np.testing.assert_array_equal(batch["z"].numpy(), z)
    np.testing.assert_allclose(batch["pos"].numpy(), pos, atol=1e-6)
    np.testing.assert_allclose(batch["energy"].numpy(), energy, rtol=1e-12)
    again = QM9(source="schnetpack", root=root, cache_dir=str(tmp_path), **SMALL)
    np.testing.assert_array_equal(again.splits["train"], data.splits["train"])
    assert len(list(tmp_path.iterdir())) == 1


def test_complete_schnetpack_databases_lose_the_uncharacterised(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "qm9.db"
    shutil.copyfile(shared_data / "morered" / "schnetpack_test_qm9.db", path)
    monkeypatch.setattr(qm9_sources, "N_ALL", 20)
    with pytest.raises(DataError, match=r"list of uncharacterised molecules is missing .*remove_uncharacterized=false"):
        qm9_sources.read_schnetpack(path, remove_uncharacterized=True)
    (tmp_path / "uncharacterized.txt").write_text("heading\n" * 9 + "    3   O=C  C=O\n   20  C  N\n\n -- end\n")
    found = qm9_sources.read_schnetpack(path, remove_uncharacterized=True)
    kept = [row for row in range(1, 21) if row not in (3, 20)]
    assert found.names.tolist() == [f"row {row}" for row in kept]
    assert len(qm9_sources.read_schnetpack(path, remove_uncharacterized=False).n_atoms) == 20


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_pyg_raw_files(shared_data: Path, tmp_path: Path, reference: Any) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    source = shared_data / "morered" / "qm9_dev2000_pyg_raw"
    lines = (source / "gdb9.sdf").read_text().split("$$$$\n")[:60]
    (raw / "gdb9.sdf").write_text("$$$$\n".join([*lines, ""]))
    (raw / "gdb9.sdf.csv").write_text("".join((source / "gdb9.sdf.csv").read_text().splitlines(keepends=True)[:61]))
    (raw / "uncharacterized.txt").write_text("heading\n" * 9 + "    4   O=C  C=O\n   11  C  N\n----\n")
    data = QM9(source="pyg", root=str(tmp_path), cache_dir=str(tmp_path / "cache"), **SMALL)
    numbers = [int(block.split("\n")[0].removeprefix("gdb_")) for block in lines]
    kept = np.array([number for position, number in enumerate(numbers) if position not in (3, 10)])
    z, pos, energy = reference_arrays(reference, np.flatnonzero(np.isin(reference["index"], kept)))
    batch = data.gather(_all(data))
    np.testing.assert_array_equal(batch["z"].numpy(), z)
    np.testing.assert_allclose(batch["pos"].numpy(), pos, atol=1e-4)  # an sdf has four decimals
    np.testing.assert_allclose(batch["energy"].numpy(), energy, rtol=1e-12)
    assert list(data.names[:4]) == ["C", "N", "O", "C#N"]  # the fourth, C#C, is left out


def test_nothing_is_downloaded(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gdb9\.sdf: no such file \(put gdb9\.sdf, gdb9\.sdf\.csv") as caught:
        QM9(source="pyg", root=str(tmp_path))
    assert "\n" not in caught.value.line
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": "pyg"}, "data.source=pyg needs data.root"),
        ({"source": "web", "root": "."}, "unknown source 'web'"),
        ({"source": "schnetpack", "root": "absent.db"}, r"absent\.db: no such file"),
        ({"remove_uncharacterized": False}, "qm9pack has no uncharacterised molecules"),
    ],
)
def test_wrong_arguments_are_one_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        QM9(**changes)


def test_a_broken_cache_says_how_to_mend_it(shared_data: Path, tmp_path: Path) -> None:
    arguments: dict[str, Any] = {
        "source": "schnetpack",
        "root": str(shared_data / "morered" / "schnetpack_test_qm9.db"),
    }
    QM9(**arguments, cache_dir=str(tmp_path), **SMALL)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-300])
    with pytest.raises(DataError, match="delete it: it will be made again"):
        QM9(**arguments, cache_dir=str(tmp_path), **SMALL)
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(OutputError, match="cannot write"):
        QM9(**arguments, cache_dir=str(blocked), **SMALL)


def test_too_few_molecules_for_the_published_split(shared_data: Path, tmp_path: Path) -> None:
    root = str(shared_data / "morered" / "schnetpack_test_qm9.db")
    with pytest.raises(DataError, match="the splits ask for 75000 of 20 items: train_size=55000"):
        QM9(source="schnetpack", root=root, cache_dir=str(tmp_path))
