"""ASE databases as SchNetPack writes them."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from ase import Atoms
from ase.db import connect

from hydramol.compat.ase_db import read_ase_db
from hydramol.core.errors import DataError
from hydramol.core.units import BOHR_IN_ANGSTROM, HARTREE_IN_EV

STRUCTURES = [
    Atoms("OH2", positions=[[0, 0, 0.1], [0, 0.8, -0.5], [0, -0.8, -0.5]]),
    Atoms("HCN", positions=[[0, 0, -1.6], [0, 0, -0.5], [0, 0, 0.6]]),
    Atoms("Ar", positions=[[5, 5, 5]]),
]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "three.db"
    with connect(path) as db:
        for number, atoms in enumerate(STRUCTURES):
            db.write(atoms, data={"gap": np.array([0.1 * number]), "energy_U0": np.array([-40.0 - number])})
        db.metadata = {"_property_unit_dict": {"energy_U0": "Ha", "gap": "eV"}, "_distance_unit": "Bohr"}
    return path


def test_reads_what_ase_wrote_in_internal_units(database: Path) -> None:
    found = read_ase_db(database, energies=("energy_U0", "gap"))
    assert found.n_atoms.tolist() == [3, 3, 1]
    assert found.z.tolist() == [8, 1, 1, 1, 6, 7, 18]
    assert found.rows.tolist() == [1, 2, 3]
    expected = np.concatenate([atoms.positions for atoms in STRUCTURES]) * BOHR_IN_ANGSTROM
    np.testing.assert_allclose(found.pos, expected, rtol=1e-14)
    np.testing.assert_allclose(
        found.properties["energy_U0"], [-40 * HARTREE_IN_EV, -41 * HARTREE_IN_EV, -42 * HARTREE_IN_EV]
    )
    np.testing.assert_allclose(found.properties["gap"], [0.0, 0.1, 0.2])


def test_equals_ase_on_schnetpacks_own_database(shared_data: Path) -> None:
    path = shared_data / "morered" / "schnetpack_test_qm9.db"
    found = read_ase_db(path, energies=("energy_U0",))
    first = np.cumsum(found.n_atoms) - found.n_atoms
    assert len(found.n_atoms) == 20
    for index, row in enumerate(connect(path).select()):
        part = slice(first[index], first[index] + found.n_atoms[index])
        np.testing.assert_array_equal(found.z[part], row.numbers)
        np.testing.assert_array_equal(found.pos[part], row.positions)
        assert found.properties["energy_U0"][index] == pytest.approx(float(row.data["energy_U0"][0]) * HARTREE_IN_EV)


def test_broken_files_are_one_clear_line(database: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_ase_db(tmp_path / "absent.db")
    text = tmp_path / "text.db"
    text.write_text("not a database, but long enough to look like a file of some kind\n" * 20)
    with pytest.raises(DataError, match="not a database"):
        read_ase_db(text)
    cut = tmp_path / "cut.db"
    cut.write_bytes(database.read_bytes()[: database.stat().st_size // 2])
    with pytest.raises(DataError) as caught:
        read_ase_db(cut)
    assert str(cut) in caught.value.line
    assert "\n" not in caught.value.line
    empty = tmp_path / "empty.db"
    shutil.copy(database, empty)
    with sqlite3.connect(empty) as connection:
        connection.execute("DELETE FROM systems")
    connection.close()
    with pytest.raises(DataError, match="holds no structures"):
        read_ase_db(empty)


def test_missing_and_unknown_units_are_named(database: Path) -> None:
    with pytest.raises(DataError, match=r"states no unit of 'energy' \(properties with units: energy_U0, gap\)"):
        read_ase_db(database, energies=("energy",))
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE information SET value = replace(value, 'Ha', 'Ry') WHERE name = 'metadata'")
    connection.close()
    with pytest.raises(DataError, match="unknown unit 'Ry'"):
        read_ase_db(database, energies=("energy_U0",))


def test_torn_rows_are_named(database: Path) -> None:
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE systems SET positions = substr(positions, 1, 48) WHERE id = 2")
    connection.close()
    with pytest.raises(DataError, match="row 2: atoms and positions differ in number"):
        read_ase_db(database)
