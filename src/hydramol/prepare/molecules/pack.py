"""The packed file: many small molecules in one npz, and its manifest.

``<name>.npz`` (compressed, no pickles, the same bytes for the same numbers) holds, with atoms of molecules one after
the other:

- ``z`` uint8 ``[atoms]``, atomic numbers;
- ``pos`` int16 ``[atoms, 3]``, positions in units of ``pos_unit``, each molecule centred on the mean of its positions;
- ``pos_unit`` float64 ``[]``, Angstrom;
- ``n_atoms`` uint8 ``[molecules]``;
- ``smiles`` uint8 ``[characters]``, ASCII, one line a molecule, without stereochemistry;
- ``energy`` float64 ``[molecules]``, total energy in eV.

``<name>.json`` says where it comes from and carries the sha256 of the npz. `hydramol.data.embedded` reads both.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hydramol.core.errors import DataError
from hydramol.core.files import write_json, writing
from hydramol.prepare.molecules.relax import Relaxed

POS_UNIT = 5e-4  # Angstrom; rounding errs by half of it at most
UNITS = {"pos": f"{POS_UNIT} Angstrom", "pos_unit": "Angstrom", "energy": "eV"}


def pack(smiles: Sequence[str], structures: Sequence[Relaxed]) -> dict[str, np.ndarray]:
    """Joins molecules into the arrays of a packed file.

    Raises:
        DataError: A molecule is too large for the format.
    """
    grid = [np.rint((one.pos - one.pos.mean(axis=0)) / POS_UNIT) for one in structures]
    if any(len(rows) > np.iinfo(np.uint8).max or np.abs(rows).max() > np.iinfo(np.int16).max for rows in grid):
        raise DataError("a molecule is too large for a packed file (255 atoms, 16 Angstrom from its centre)")
    return {
        "z": np.concatenate([one.z for one in structures]).astype(np.uint8),
        "pos": np.concatenate(grid).astype(np.int16),
        "pos_unit": np.array(POS_UNIT),
        "n_atoms": np.array([len(one.z) for one in structures], dtype=np.uint8),
        "smiles": np.frombuffer("\n".join(smiles).encode("ascii"), dtype=np.uint8),
        "energy": np.array([one.energy for one in structures], dtype=np.float64),
    }


def npz_bytes(arrays: Mapping[str, np.ndarray]) -> bytes:
    """A compressed npz whose bytes depend on the arrays alone: no time stamps, no file modes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, array, allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            archive.writestr(entry, member.getvalue(), zipfile.ZIP_DEFLATED, compresslevel=9)
    return buffer.getvalue()


def write_packed(path: Path, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> dict[str, Any]:
    """Writes ``path`` (npz) and the manifest beside it; neither stands there half written.

    Args:
        path: The npz file.
        arrays: What `pack` returned.
        about: What the manifest says besides units, counts and sha256.

    Returns:
        The manifest.
    """
    content = npz_bytes(arrays)
    manifest = {
        **about,
        "units": UNITS,
        "n_molecules": len(arrays["n_atoms"]),
        "n_atoms": len(arrays["z"]),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    with writing(path) as temporary:
        temporary.write_bytes(content)
    write_json(path.with_suffix(".json"), manifest)
    return manifest
