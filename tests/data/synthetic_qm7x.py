"""Files of the published key layout of QM7-X, with structures made up: a few small molecules, shaken at random."""

from __future__ import annotations

import hashlib
import lzma
from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np

Structure = Mapping[str, np.ndarray]


def structures(
    molecules: Sequence[int], n_conformers: int = 2, n_displaced: int = 4, n_atoms: int = 6, seed: int = 0
) -> dict[str, dict[str, Structure]]:
    """Published keys by molecule and structure: 2 isomers of a molecule, conformers of each, displaced ones of each."""
    found: dict[str, dict[str, Structure]] = {}
    for molecule in molecules:
        rng = np.random.default_rng([seed, molecule])
        z = np.sort(rng.choice([1, 6, 7, 8, 16, 17], n_atoms + molecule % 3))[::-1].astype(np.int64)
        group: dict[str, Structure] = {}
        for conformer in range(2 * n_conformers):
            stem = f"Geom-m{molecule}-i{conformer // n_conformers + 1}-c{conformer % n_conformers + 1}"
            minimum = rng.normal(scale=2.0, size=(len(z), 3))
            for frame in range(n_displaced + 1):
                shift = rng.normal(scale=0.1 * bool(frame), size=minimum.shape)
                group[f"{stem}-{f'd{frame}' if frame else 'opt'}"] = {
                    "atNUM": z,
                    "atXYZ": minimum + shift,
                    "sRMSD": np.array([np.sqrt((shift**2).sum(1).mean())]),
                    "ePBE0+MBD": np.array([-1000.0 * molecule + frame]),
                }
        found[str(molecule)] = group
    return found


def write_hdf5(path: Path, content: Mapping[str, Mapping[str, Structure]]) -> Path:
    """An unpacked part."""
    with h5py.File(path, "w") as file:
        for molecule, group in content.items():
            for name, values in group.items():
                for key, value in values.items():
                    file[f"{molecule}/{name}/{key}"] = value
    return path


def write_xz(path: Path, content: Mapping[str, Mapping[str, Structure]]) -> Path:
    """A packed part."""
    unpacked = write_hdf5(path.with_suffix(".tmp"), content)
    path.write_bytes(lzma.compress(unpacked.read_bytes(), preset=0))
    unpacked.unlink()
    return path


def write_root(root: Path, duplicates: Sequence[str] = ()) -> dict[str, str]:
    """Two packed parts of 6 molecules each and the list of duplicates; returns their MD5."""
    root.mkdir(parents=True, exist_ok=True)
    write_xz(root / "1000.xz", structures(range(1, 7)))
    write_xz(root / "2000.xz", structures(range(7, 13)))
    (root / "DupMols.dat").write_text("".join(f"{name}\n" for name in duplicates))
    return {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in root.iterdir()}
