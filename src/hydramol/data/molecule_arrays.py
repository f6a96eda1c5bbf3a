"""Molecules as plain arrays, one after the other: what readers return and what a cache file holds."""

from __future__ import annotations

import os
import tempfile
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from hydramol.core.errors import DataError, OutputError


@dataclass(frozen=True)
class MoleculeArrays:
    """Molecules in internal units.

    Attributes:
        z: Atomic numbers, ``[atoms]`` uint8.
        pos: Positions, ``[atoms, 3]`` float64, Angstrom.
        n_atoms: Atoms of each molecule, ``[molecules]`` int64.
        names: A name of each molecule, its SMILES where there is one, ``[molecules]``.
        energy: Total energies, ``[molecules]`` float64, eV, or None.
        gap: Gaps between highest occupied and lowest unoccupied orbital, ``[molecules]`` float64, eV, or None.
    """

    z: np.ndarray
    pos: np.ndarray
    n_atoms: np.ndarray
    names: np.ndarray
    energy: np.ndarray | None = None
    gap: np.ndarray | None = None

    def select(self, keep: np.ndarray) -> MoleculeArrays:
        """Some molecules.

        Args:
            keep: Boolean mask, ``[molecules]``.
        """
        rows = np.repeat(keep, self.n_atoms)
        parts: dict[str, Any] = {
            field.name: None if getattr(self, field.name) is None else getattr(self, field.name)[keep]
            for field in fields(self)
            if field.name not in ("z", "pos")
        }
        return MoleculeArrays(z=self.z[rows], pos=self.pos[rows], **parts)

    def with_at_most(self, heavy_atoms: int | None) -> MoleculeArrays:
        """Molecules of at most so many atoms that are not hydrogen; None keeps all."""
        return self if heavy_atoms is None else self.select(self.have_at_most(heavy_atoms))

    def have_at_most(self, heavy_atoms: int | None) -> np.ndarray:
        """Whether each molecule has at most so many atoms that are not hydrogen, ``[molecules]`` bool."""
        owner = np.repeat(np.arange(len(self.n_atoms)), self.n_atoms)
        heavy = np.bincount(owner, weights=self.z > 1, minlength=len(self.n_atoms))
        return np.asarray(heavy <= (np.inf if heavy_atoms is None else heavy_atoms))

    @classmethod
    def joined(cls, parts: Sequence[MoleculeArrays]) -> MoleculeArrays:
        """Several sets as one; all must have the same properties."""
        names = [field.name for field in fields(cls) if getattr(parts[0], field.name) is not None]
        return cls(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})

    def save(self, path: Path) -> None:
        """Writes an npz file, which appears under its name only when it is whole.

        Raises:
            OutputError: It cannot be written.
        """
        arrays = {field.name: getattr(self, field.name) for field in fields(self)}
        temporary = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.stem}-", delete=False) as file:
                temporary = file.name
                np.savez(file, **{name: value for name, value in arrays.items() if value is not None})
            os.replace(temporary, path)
        except OSError as error:
            if temporary is not None:
                Path(temporary).unlink(missing_ok=True)
            raise OutputError(f"cannot write: {error.strerror or error}", where=str(path)) from error

    @classmethod
    def load(cls, path: Path) -> MoleculeArrays:
        """Reads what `save` wrote.

        Raises:
            DataError: The file is broken.
        """
        try:
            # Opened here, because NumPy leaves a file open that it finds broken.
            with path.open("rb") as content, np.load(content, allow_pickle=False) as file:
                return cls(**{name: file[name] for name in file.files})
        except (OSError, EOFError, ValueError, TypeError, zipfile.BadZipFile, zlib.error) as error:
            fix = "delete it: it will be made again"
            raise DataError(f"cannot be read: {error}", where=str(path), fix=fix) from error
