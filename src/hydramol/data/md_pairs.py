"""Frames of molecular dynamics with the minima they relax to, as `hydramol prepare data=molecules_md` writes them.

``molecules_md.npz`` holds, by frame: ``molecule`` (number in the embedded file), ``n_atoms``, ``energy`` and
``energy_reference`` (eV), ``frame``; and by atom, frames joined: ``z``, ``pos`` and ``pos_reference`` (Angstrom).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hydramol.core.errors import DataError
from hydramol.data import embedded
from hydramol.data.embedded_split import embedded_split
from hydramol.data.molecule_pairs import MoleculePairs
from hydramol.data.splits import Size

FILE = "molecules_md.npz"
FIELDS = ("molecule", "frame", "n_atoms", "energy", "energy_reference", "z", "pos", "pos_reference")
_FIX = "hydramol prepare data=molecules_md writes it"


class MDPairs(MoleculePairs):
    """Frames of GFN2-xTB dynamics of embedded molecules, each with its GFN2-relaxed minimum as ``pos_reference``.

    A stand-in for published relaxation pairs.

    Args:
        root: Folder with ``molecules_md.npz`` and its manifest ``molecules_md.json``.
        max_heavy_atoms: Keep molecules of at most so many atoms that are not hydrogen; None keeps all.
        train_size: Molecules of the training split: a count, a fraction, or None for the rest. Splits are those of all
            embedded molecules with the same settings, whether there is dynamics of them or not; all frames of a
            molecule are on one side.
        valid_size: The same of the validation split.
        test_size: The same of the test split.
        split_seed: Seed of the split.

    Attributes:
        molecule: Number of each item's molecule in the embedded file, ``[items]``.

    Raises:
        DataError: The file is missing or damaged, was made from other embedded molecules, or a split has no frames.
    """

    def __init__(
        self,
        root: str,
        max_heavy_atoms: int | None = None,
        train_size: Size = None,
        valid_size: Size = 0.1,
        test_size: Size = 0.1,
        split_seed: int = 0,
    ) -> None:
        path = Path(root).expanduser() / FILE
        raw, source = read_md(path)
        found = embedded_split(source, max_heavy_atoms, train_size, valid_size, test_size, split_seed)
        kept = np.isin(raw["molecule"], found.molecule)
        rows = np.repeat(kept, raw["n_atoms"])
        self.molecule = raw["molecule"][kept]
        splits = {side: np.flatnonzero(np.isin(self.molecule, items)) for side, items in found.splits.items()}
        empty = [side for side, items in splits.items() if len(items) == 0]
        if empty:
            fix = "prepare more molecules, or set data.train_size, data.valid_size, data.test_size"
            what = f"has no frames of the {empty[0]} molecules: it holds {len(np.unique(raw['molecule']))} molecules"
            raise DataError(what, where=str(path), fix=fix)
        smiles = dict(zip(found.molecule.tolist(), found.arrays.names, strict=True))
        super().__init__(
            raw["z"][rows].astype(np.int64),
            raw["pos"][rows],
            raw["n_atoms"][kept].astype(np.int64),
            splits=splits,
            pos_reference=raw["pos_reference"][rows],
            energy=raw["energy"][kept],
            names=np.array([smiles[one] for one in self.molecule.tolist()]),
            where=str(path),
        )


def read_md(path: Path) -> tuple[dict[str, np.ndarray], str]:
    """Reads and verifies a file of frames.

    Args:
        path: The npz; its manifest lies beside it.

    Returns:
        The arrays, and the name of the embedded data that they were made from.

    Raises:
        DataError: It is missing or damaged, or the embedded molecules are others now.
    """
    if not path.is_file():
        raise DataError("no such file", where=str(path), fix=_FIX)
    embedded.verify(path)
    manifest = embedded.manifest_of(path)
    try:
        with np.load(path, allow_pickle=False) as file:
            raw = {name: file[name] for name in FIELDS}
        source, stated = str(manifest["source"]), manifest["source_sha256"]
    except KeyError as error:
        raise DataError(f"is no file of frames: it has no {error.args[0]}", where=str(path), fix=_FIX) from error
    if embedded.manifest_of(embedded.path_of(source))["sha256"] != stated:
        what = f"was made from another version of the embedded data {source!r}"
        raise DataError(what, where=str(path), fix="prepare it again")
    return raw, source
