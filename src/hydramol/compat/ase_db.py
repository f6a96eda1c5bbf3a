"""Reading ASE's SQLite databases of structures, as SchNetPack writes them, by one query and without ASE or SchNetPack.

Format: Hjorth Larsen et al., J. Phys. Condens. Matter 29, 273002 (2017), `ase.db`; the metadata with units are
SchNetPack's (Schuett et al., J. Chem. Phys. 158, 144801 (2023)).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hydramol.core.errors import DataError
from hydramol.core.units import factor

_UNITS = {"Ang": "Angstrom", "A": "Angstrom", "Ha": "Hartree", "a0": "Bohr", "kcal/mol": "kcal/mol"}
"""ASE's unit names that differ from ours."""


@dataclass(frozen=True)
class AseDatabase:
    """Structures of a database in internal units, one after the other.

    Attributes:
        rows: Row numbers, ``[structures]`` int64.
        z: Atomic numbers, ``[atoms]`` uint8.
        pos: Positions, ``[atoms, 3]`` float64, Angstrom.
        n_atoms: Atoms of each structure, ``[structures]`` int64.
        properties: The scalars asked for, ``[structures]`` float64; energies in eV.
    """

    rows: np.ndarray
    z: np.ndarray
    pos: np.ndarray
    n_atoms: np.ndarray
    properties: dict[str, np.ndarray]


def read_ase_db(path: str | Path, energies: Sequence[str] = ()) -> AseDatabase:
    """Reads all structures of an ASE SQLite database.

    Args:
        path: The ``.db`` file.
        energies: Names of energies to read from the data of each row; the metadata must state their units.

    Raises:
        DataError: The file is missing, truncated, empty, or not such a database.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError("no such file", where=str(path))
    metadata, rows = _query(path)
    if not rows:
        raise DataError("holds no structures", where=str(path))
    units = metadata.get("_property_unit_dict", {})
    for name in energies:
        if name not in units:
            known = ", ".join(units) or "none"
            raise DataError(f"states no unit of {name!r}", where=str(path), fix=f"properties with units: {known}")
    try:
        numbers = [np.frombuffer(row[1], dtype="<i4") for row in rows]
        positions = [np.frombuffer(row[2], dtype="<f8").reshape(-1, 3) for row in rows]
        n_atoms = np.array([len(number) for number in numbers])
        misfit = np.flatnonzero(n_atoms != [len(position) for position in positions])
        if len(misfit):
            raise DataError(f"row {rows[misfit[0]][0]}: atoms and positions differ in number", where=str(path))
        found = {name: np.empty(len(rows)) for name in energies}
        for index, row in enumerate(rows) if energies else ():
            data = _decode(row[3])
            for name in energies:
                found[name][index] = data(name)
        length = factor(*_internal(metadata.get("_distance_unit", "Ang"), "Angstrom"))
        return AseDatabase(
            rows=np.array([row[0] for row in rows]),
            z=np.concatenate(numbers).astype(np.uint8),
            pos=np.concatenate(positions) * length,
            n_atoms=n_atoms,
            properties={name: value * factor(*_internal(units[name], "eV")) for name, value in found.items()},
        )
    except (ValueError, TypeError, KeyError, IndexError) as error:
        raise DataError(f"a row cannot be read: {error}", where=str(path), fix="is it an ASE database?") from error


def _query(path: Path) -> tuple[dict[str, Any], list[tuple[Any, ...]]]:
    try:
        # Read-only, so that it works in folders one may not write to.
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            stored = dict(connection.execute("SELECT name, value FROM information").fetchall())
            rows = connection.execute("SELECT id, numbers, positions, data FROM systems ORDER BY id").fetchall()
        return json.loads(stored.get("metadata", "{}")), rows
    except (sqlite3.Error, ValueError) as error:
        fix = "truncated, or not an ASE database"
        raise DataError(f"cannot be read: {error}", where=str(path), fix=fix) from error


def _decode(blob: bytes | str) -> Any:
    """Scalars by name of one row's data.

    A blob is eight bytes with the place of a JSON text, then arrays, then that text, which says where each array lies:
    ``{"gap": {"__ndarray__": [[1], "float64", 48]}}``.
    """
    if isinstance(blob, str):
        text, content = blob, b""
    else:
        text, content = blob[int.from_bytes(blob[:8], "little") :].decode(), blob
    fields = json.loads(text)

    def scalar(name: str) -> float:
        value = fields[name]
        if isinstance(value, dict):
            shape, dtype, place = value["__ndarray__"]
            if int(np.prod(shape)) != 1:
                raise ValueError(f"{name} is no scalar, its shape is {shape}")
            if not isinstance(place, int):
                return float(np.ravel(place)[0])
            return float(np.frombuffer(content, dtype=np.dtype(dtype).newbyteorder("<"), count=1, offset=place)[0])
        return float(value)

    return scalar


def _internal(unit: str, target: str) -> tuple[str, str]:
    return _UNITS.get(unit, unit), target
