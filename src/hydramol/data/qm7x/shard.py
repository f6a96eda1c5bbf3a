"""A converted part: structures one after the other in a few flat arrays of one HDF5 file, written and read in blocks.

Arrays of the file, by frame: ``name`` int32 ``[frames, 4]`` (molecule, isomer, conformer, frame; frame 0 is the
minimum), ``n_atoms`` uint8, ``energy`` float64 (eV), ``rmsd`` float32 (Angstrom, from the minimum); and by atom, frames
joined: ``z`` uint8 and ``pos`` float32 (Angstrom).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hydramol.core.engines import require
from hydramol.core.errors import DataError
from hydramol.data.qm7x.names import Name

BLOCK = 1 << 18
"""Atoms that are written or read at a time."""

_DTYPES: Mapping[str, tuple[str, tuple[int, ...]]] = {
    "name": ("int32", (4,)),
    "n_atoms": ("uint8", ()),
    "energy": ("float64", ()),
    "rmsd": ("float32", ()),
    "z": ("uint8", ()),
    "pos": ("float32", (3,)),
}


def open_hdf5(path: Path, mode: str = "r") -> Any:
    """Opens an HDF5 file; h5py is imported now, because QM7-X alone needs it.

    Raises:
        HydramolError: h5py is not installed.
        OSError: The file is none, or is cut off.
    """
    return require("h5py", "qm").File(path, mode)


class ShardWriter:
    """Appends structures to a new file; keeps one block of them in memory.

    Args:
        file: An h5py file that is open for writing.
    """

    def __init__(self, file: Any) -> None:
        self._arrays = {
            name: file.create_dataset(name, (0, *row), dtype, chunks=(1 << 14, *row), maxshape=(None, *row))
            for name, (dtype, row) in _DTYPES.items()
        }
        self._waiting: dict[str, list[Any]] = {name: [] for name in _DTYPES}
        self._atoms = 0

    def add(self, name: Name, z: np.ndarray, pos: np.ndarray, energy: float, rmsd: float) -> None:
        """One structure: ``z [atoms]``, ``pos [atoms, 3]`` in Angstrom, energy in eV, RMSD in Angstrom."""
        row = {"name": name, "n_atoms": len(z), "energy": energy, "rmsd": rmsd, "z": z, "pos": pos}
        for key, value in row.items():
            self._waiting[key].append(value)
        self._atoms += len(z)
        if self._atoms >= BLOCK:
            self.flush()

    def flush(self) -> None:
        """Writes what is still in memory."""
        if not self._atoms:
            return
        for key, values in self._waiting.items():
            dtype = _DTYPES[key][0]
            rows = np.concatenate(values).astype(dtype) if key in ("z", "pos") else np.array(values, dtype=dtype)
            array = self._arrays[key]
            array.resize(len(array) + len(rows), axis=0)
            array[-len(rows) :] = rows
            values.clear()
        self._atoms = 0


@dataclass(frozen=True)
class Frames:
    """What a shard says of its structures without their atoms.

    Attributes:
        path: The shard.
        name: Molecule, isomer, conformer and frame, ``[frames, 4]`` int64.
        n_atoms: ``[frames]`` int64.
        energy: ``[frames]`` float64, eV.
        rmsd: From the minimum, ``[frames]`` float32, Angstrom.
    """

    path: Path
    name: np.ndarray
    n_atoms: np.ndarray
    energy: np.ndarray
    rmsd: np.ndarray

    @classmethod
    def read(cls, path: Path) -> Frames:
        """Reads a shard that a conversion left.

        Raises:
            DataError: It is broken.
        """
        with _opened(path) as file:
            return cls(
                path,
                file["name"][()].astype(np.int64),
                file["n_atoms"][()].astype(np.int64),
                file["energy"][()],
                file["rmsd"][()],
            )

    def atoms(self, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Elements and positions of some structures, joined.

        Args:
            frames: Structures, ``[k]``, in any order, repeated or not.

        Returns:
            ``z [atoms]`` uint8 and ``pos [atoms, 3]`` float32, Angstrom. Blocks are read in the file's order, so memory
            holds little beyond these two.

        Raises:
            DataError: The shard is broken.
        """
        if len(frames) == 0:
            return np.zeros(0, dtype=np.uint8), np.zeros((0, 3), dtype=np.float32)
        needed = np.zeros(len(self.n_atoms), dtype=bool)
        needed[frames] = True
        rows = np.repeat(needed, self.n_atoms)
        with _opened(self.path) as file:
            z, pos = (
                np.concatenate([
                    file[key][start : start + BLOCK][rows[start : start + BLOCK]]
                    for start in range(0, len(rows), BLOCK)
                    if rows[start : start + BLOCK].any()
                ])
                for key in ("z", "pos")
            )  # fmt: skip
        sizes = self.n_atoms[needed]
        place = np.cumsum(needed)[frames] - 1  # of each asked one among those read
        picked = joined_rows((np.cumsum(sizes) - sizes)[place], sizes[place])
        return z[picked], pos[picked]


def joined_rows(first: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Row numbers of several runs, joined: ``first[i] ... first[i] + sizes[i] - 1`` for each run."""
    start = np.cumsum(sizes) - sizes
    rows: np.ndarray = np.repeat(first - start, sizes) + np.arange(int(sizes.sum()))
    return rows


class _opened:
    """Opens a shard for reading and says in one line what is wrong with a broken one."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> Any:
        try:
            self._file = open_hdf5(self._path)
        except OSError as error:
            raise self._broken(error) from error
        return self._file

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._file.close()
        if isinstance(error, OSError | KeyError | ValueError):
            raise self._broken(error) from error

    def _broken(self, error: BaseException) -> DataError:
        return DataError(f"cannot be read: {error}", where=str(self._path), fix="delete it: it will be made again")
