"""Data sets that ship inside the package, and the reader of their file format (written by `hydramol.prepare`).

A data set is a pair of files: ``<name>.npz`` with the numbers and ``<name>.json``, the manifest, with the npz's sha256,
units, seed, counts, the command that made it and the versions of the engines behind it.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from hydramol.core.errors import DataError

_FOLDER = Path(__file__).parent
_FIELDS = ("z", "pos", "pos_unit", "n_atoms", "smiles", "energy")
_REMAKE = "the file is damaged or of another kind: fetch or build it again"


def path_of(name: str) -> Path:
    """The npz file of an embedded data set.

    Raises:
        DataError: No data set of this name ships with the package.
    """
    path = _FOLDER / f"{name}.npz"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in _FOLDER.glob("*.npz"))) or "none"
        raise DataError(f"no embedded data set {name!r}", fix=f"embedded: {known}")
    return path


def manifest_of(path: str | Path) -> dict[str, Any]:
    """The manifest beside a packed file: the same name, ending in ``.json``.

    Raises:
        DataError: It is missing or no JSON object.
    """
    file = Path(path).with_suffix(".json")
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"cannot read the manifest: {error.strerror}", where=str(file)) from error
    except ValueError as error:
        raise DataError(f"the manifest is not JSON: {error}", where=str(file), fix=_REMAKE) from error
    if not isinstance(manifest, dict):
        raise DataError("the manifest is not a JSON object", where=str(file), fix=_REMAKE)
    return manifest


def verify(path: str | Path) -> None:
    """Compares a packed file with the sha256 in its manifest.

    Raises:
        DataError: They differ, or one of the two cannot be read.
    """
    path = Path(path)
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"cannot read the file: {error.strerror}", where=str(path)) from error
    stated = manifest_of(path).get("sha256")
    if found != stated:
        what = f"sha256 is {found[:12]}..., the manifest says {str(stated)[:12]}..."
        raise DataError(what, where=str(path), fix=_REMAKE)


def read_packed(path: str | Path) -> dict[str, Any]:
    """Reads a packed file of molecules; the sha256 is left to `verify`.

    Returns:
        ``z`` ``[atoms]`` uint8; ``pos`` ``[atoms, 3]`` float64, Angstrom; ``n_atoms`` ``[molecules]`` int64;
        ``smiles``, a list of ``[molecules]`` strings; ``energy`` ``[molecules]`` float64, eV. Atoms of molecules lie
        one after the other.

    Raises:
        DataError: The file is missing, truncated, or not of this format.
    """
    path = Path(path)
    try:
        # Opened here, for numpy leaves the file open where it finds it broken.
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            raw = {name: file[name] for name in _FIELDS}
    except FileNotFoundError as error:
        raise DataError("no such file", where=str(path)) from error
    except KeyError as error:
        raise DataError(f"not a packed file of molecules: {error.args[0]}", where=str(path), fix=_REMAKE) from error
    except Exception as error:  # zipfile, zlib and numpy raise a dozen kinds on broken bytes
        raise DataError(f"cannot be read as npz: {error}", where=str(path), fix=_REMAKE) from error

    try:
        lines = raw["smiles"].astype(np.uint8).tobytes().decode("ascii")
        molecules = {
            "z": raw["z"].astype(np.uint8),
            "pos": raw["pos"].astype(np.float64) * float(raw["pos_unit"]),
            "n_atoms": raw["n_atoms"].astype(np.int64),
            "smiles": lines.split("\n") if lines else [],
            "energy": raw["energy"].astype(np.float64),
        }
    except (ValueError, TypeError) as error:
        raise DataError(f"a field has the wrong type: {error}", where=str(path), fix=_REMAKE) from error
    _check_shapes(molecules, path)
    return molecules


def _check_shapes(molecules: dict[str, Any], path: Path) -> None:
    sizes = molecules["n_atoms"]
    n_molecules, n_atoms = len(sizes) if sizes.ndim == 1 else -1, int(sizes.sum())
    expected = {"z": (n_atoms,), "pos": (n_atoms, 3), "smiles": (n_molecules,), "energy": (n_molecules,)}
    for name, shape in expected.items():
        found = np.shape(molecules[name])
        if found != shape:
            raise DataError(f"{name} has shape {found} where n_atoms asks for {shape}", where=str(path), fix=_REMAKE)
    if (sizes < 1).any():
        raise DataError("a molecule has no atoms", where=str(path), fix=_REMAKE)
    if not (np.isfinite(molecules["pos"]).all() and np.isfinite(molecules["energy"]).all()):
        raise DataError("a position or energy is not finite", where=str(path), fix=_REMAKE)


def load(name: str) -> dict[str, Any]:
    """Verifies and reads an embedded data set; see `read_packed` for what it holds.

    Raises:
        DataError: There is none of this name, or its files are broken.
    """
    path = path_of(name)
    verify(path)
    return read_packed(path)
