"""QM7-X as a data set: minima, or displaced structures with their minima."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from hydramol.core.errors import DataError
from hydramol.data.molecule_arrays import MoleculeArrays
from hydramol.data.molecule_pairs import MoleculePairs, group_splits
from hydramol.data.qm7x.choose import Pair, minima, pairs
from hydramol.data.qm7x.convert import shard_of
from hydramol.data.qm7x.files import DUPLICATES, PARTS, check_md5, find_sources, read_checksums
from hydramol.data.qm7x.names import Name, read_duplicates
from hydramol.data.qm7x.shard import Frames
from hydramol.data.splits import Size

Selection = Literal["equilibrium", "pairs"]


class QM7X(MoleculePairs):
    """QM7-X in memory; energies are total PBE0+MBD energies.

    The first use converts each part once. Splits are of molecules (one SMILES each), so that stereoisomers, conformers
    and displaced structures of one molecule are on the same side.

    Args:
        root: Folder with ``1000.xz`` ... ``8000.xz`` or the unpacked ``1000.hdf5`` ..., and ``DupMols.dat``; it is only
            read. It has to be given: nothing is downloaded.
        name: Name of the data.
        parts: Parts to read.
        selection: "equilibrium" for minima, or "pairs" for displaced structures that carry their minimum as
            ``pos_reference``.
        pair: Which displaced structures of each minimum are taken: "random", the one of "smallest", "median" or
            "largest" RMSD from the minimum, or "all".
        pair_seed: Seed of random pairs.
        remove_duplicates: Leave out the minima that ``DupMols.dat`` names, and what is displaced from them.
        checksums: MD5 that files must have: "published", a JSON file or table of others by file name, or None to leave
            the check out. Files that the table does not name pass; an unpacked part has no published MD5.
        max_heavy_atoms: Keep molecules of at most so many atoms that are not hydrogen; None keeps all.
        train_size: Molecules of the training split: a count, a fraction, or None for the rest.
        valid_size: The same of the validation split.
        test_size: The same of the test split.
        split_seed: Seed of the split.
        cache_dir: Where converted parts are kept; None is ``hydramol`` in the user's cache folder.

    Attributes:
        molecule: The authors' number of each item's molecule, ``[items]``.
    """

    def __init__(
        self,
        root: str | None = None,
        name: str = "qm7x",
        parts: Sequence[str | int] = PARTS,
        selection: Selection = "equilibrium",
        pair: Pair = "random",
        pair_seed: int = 0,
        remove_duplicates: bool = True,
        checksums: str | Mapping[str, str] | None = "published",
        max_heavy_atoms: int | None = None,
        train_size: Size = 4_500,
        valid_size: Size = 1_250,
        test_size: Size = None,
        split_seed: int = 0,
        cache_dir: str | None = None,
    ) -> None:
        if root is None:
            fix = "the folder with 1000.xz ... 8000.xz and DupMols.dat"
            raise DataError("QM7-X needs data.root", where="data.root", fix=fix)
        where = f"{name} ({root})"
        if selection not in ("equilibrium", "pairs"):
            raise DataError(f"unknown selection {selection!r}", where="data.selection", fix="equilibrium or pairs")
        folder, table = Path(root).expanduser(), read_checksums(checksums)
        sources = find_sources(folder, parts)
        duplicates = _duplicates(folder / DUPLICATES, table) if remove_duplicates else set()
        cache = _cache_folder(cache_dir)
        loaded = []
        for source in sources:
            shard = shard_of(source, "minima" if selection == "equilibrium" else "all", cache, table)
            frames = Frames.read(shard)
            loaded.append(_load(frames, selection, pair, pair_seed, duplicates, source.path.name))
        arrays = MoleculeArrays.joined([one for one, _ in loaded])
        reference = np.concatenate([one for _, one in loaded]) if selection == "pairs" else None
        kept = arrays.have_at_most(max_heavy_atoms)
        if reference is not None:
            reference = reference[np.repeat(kept, arrays.n_atoms)]
        arrays = arrays.select(kept)
        self.molecule = np.array([int(one.split("-")[1][1:]) for one in arrays.names], dtype=np.int64)
        super().__init__(
            arrays.z,
            arrays.pos,
            arrays.n_atoms,
            energy=arrays.energy,
            names=arrays.names,
            splits=group_splits(self.molecule, train_size, valid_size, test_size, split_seed, f"{where}, by molecule"),
            pos_reference=reference,
            where=where,
        )


def _load(
    frames: Frames, selection: Selection, pair: Pair, seed: int, duplicates: set[tuple[int, int, int]], where: str
) -> tuple[MoleculeArrays, np.ndarray]:
    """The chosen structures of one part, and the positions of their minima (nothing where they are minima)."""
    if selection == "equilibrium":
        chosen = minima(frames.name, duplicates)
    else:
        chosen = pairs(frames.name, frames.rmsd, duplicates, pair, seed, where)
    names = np.array([str(Name(*row)) for row in frames.name[chosen.frames].tolist()], dtype=str)
    n_atoms, energy = frames.n_atoms[chosen.frames], frames.energy[chosen.frames]
    z, pos = frames.atoms(chosen.frames)
    found = MoleculeArrays(z, pos, n_atoms, names, energy)
    if selection == "equilibrium":
        return found, pos[:0]
    z_reference, reference = frames.atoms(chosen.minima)
    if not np.array_equal(z, z_reference):
        raise DataError("a displaced structure has other atoms than its minimum", where=where)
    return found, reference


def _duplicates(file: Path, checksums: Mapping[str, str]) -> set[tuple[int, int, int]]:
    duplicates = read_duplicates(file)
    check_md5(hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest(), file, checksums)
    return duplicates


def _cache_folder(cache_dir: str | None) -> Path:
    if cache_dir is not None:
        return Path(cache_dir).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hydramol"
