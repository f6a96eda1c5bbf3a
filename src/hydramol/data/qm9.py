"""QM9: 130,831 molecules of H, C, N, O, F with up to nine heavy atoms, relaxed with B3LYP/6-31G(2df,p)."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from hydramol.core.errors import DataError
from hydramol.data import qm9_sources
from hydramol.data.flat_molecules import FlatMolecules
from hydramol.data.molecule_arrays import MoleculeArrays
from hydramol.data.splits import Size, random_splits

Source = Literal["qm9pack", "pyg", "schnetpack"]

_CACHE_VERSION = 1
"""Goes up whenever a reader changes what it returns."""

_log = logging.getLogger(__name__)


class QM9(FlatMolecules):
    """QM9 (Ramakrishnan et al., Sci. Data 1, 140022, 2014) in memory; energies are U0.

    Args:
        name: Name of the data.
        source: "qm9pack" (from the installed package), "pyg" (``root/raw`` with the files of PyG's loader), or
            "schnetpack" (``root`` is a SchNetPack ASE database).
        root: Folder or file of the source; not used by qm9pack. Nothing is downloaded.
        remove_uncharacterized: Leave out the 3,054 molecules that failed the authors' consistency check; qm9pack is
            already without them.
        max_heavy_atoms: Keep molecules of at most so many atoms that are not hydrogen; None keeps all.
        train_size: Molecules of the training split: a count, a fraction, or None for the rest.
        valid_size: The same of the validation split.
        test_size: The same of the test split. The three defaults are MoreRed's published sizes.
        split_seed: Seed of the split.
        cache_dir: Where a converted copy is kept; None is ``hydramol`` in the user's cache folder.

    Attributes:
        gap: Gap between highest occupied and lowest unoccupied orbital of each molecule, ``[molecules]`` float64, eV.
    """

    def __init__(
        self,
        name: str = "qm9",
        source: Source = "qm9pack",
        root: str | None = None,
        remove_uncharacterized: bool = True,
        max_heavy_atoms: int | None = None,
        train_size: Size = 55_000,
        valid_size: Size = 10_000,
        test_size: Size = 10_000,
        split_seed: int = 0,
        cache_dir: str | None = None,
    ) -> None:
        where = f"{name} ({source})" if root is None else f"{name} ({root})"
        arrays = _read(source, root, remove_uncharacterized, cache_dir).with_at_most(max_heavy_atoms)
        splits = random_splits(len(arrays.n_atoms), train_size, valid_size, test_size, split_seed, where)
        super().__init__(
            arrays.z,
            arrays.pos,
            arrays.n_atoms,
            energy=arrays.energy,
            names=arrays.names,
            splits=splits,
            where=where,
        )
        self.gap: Tensor = torch.as_tensor(arrays.gap)


def _read(source: str, root: str | None, remove_uncharacterized: bool, cache_dir: str | None) -> MoleculeArrays:
    if source == "qm9pack":
        if not remove_uncharacterized:
            raise DataError(
                "qm9pack has no uncharacterised molecules to keep",
                where="data.remove_uncharacterized=false",
                fix="data.source=pyg or schnetpack",
            )
        files = qm9_sources.qm9pack_files()
        key = f"qm9pack-{qm9_sources.qm9pack_version()}"
        return _cached(key, cache_dir, lambda: qm9_sources.read_qm9pack(files))
    if root is None:
        raise DataError(f"data.source={source} needs data.root", where="data.root",
                        fix="the folder with raw/ for pyg, the .db file for schnetpack")  # fmt: skip
    path = Path(root).expanduser()
    if source == "pyg":
        files = qm9_sources.pyg_files(path)
        if not remove_uncharacterized:
            raise DataError("PyG's loader always removes them", where="data.remove_uncharacterized=false",
                            fix="data.source=schnetpack keeps them")  # fmt: skip
        return _cached(f"pyg-{_digest(files)}", cache_dir, lambda: qm9_sources.read_pyg(path))
    if source == "schnetpack":
        if not path.is_file():
            raise DataError("no such file", where=str(path), fix="data.root is the SchNetPack .db file")
        key = f"schnetpack-{_digest([path])}-{'characterized' if remove_uncharacterized else 'all'}"
        return _cached(key, cache_dir, lambda: qm9_sources.read_schnetpack(path, remove_uncharacterized))
    raise DataError(f"unknown source {source!r}", where="data.source", fix="one of qm9pack, pyg, schnetpack")


def _cached(key: str, cache_dir: str | None, read: Callable[[], MoleculeArrays]) -> MoleculeArrays:
    """What was read before, or reads and keeps it."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hydramol"
    folder = base if cache_dir is None else Path(cache_dir).expanduser()
    file = folder / f"qm9-{key}-v{_CACHE_VERSION}.npz"
    if file.is_file():
        return MoleculeArrays.load(file)
    _log.info("converting QM9 once; kept in %s", file)
    arrays = read()
    arrays.save(file)
    return arrays


def _digest(files: list[Path]) -> str:
    found = hashlib.sha256()
    for file in files:
        with file.open("rb") as content:
            found.update(hashlib.file_digest(content, "sha256").digest())
    return found.hexdigest()[:16]
