"""The embedded molecules and their split, for all data sets made from them: the same test molecules everywhere."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hydramol.data import embedded
from hydramol.data.molecule_arrays import MoleculeArrays
from hydramol.data.splits import Size, random_splits


class EmbeddedSplit(NamedTuple):
    """Minima of the embedded molecules.

    Attributes:
        arrays: The molecules that were kept.
        molecule: Their numbers in the embedded file, ``[molecules]``, ascending.
        splits: Numbers in the embedded file of "train", "val" and "test".
        where: Name of the data, for errors.
    """

    arrays: MoleculeArrays
    molecule: np.ndarray
    splits: dict[str, np.ndarray]
    where: str


def embedded_split(
    name: str, max_heavy_atoms: int | None, train_size: Size, valid_size: Size, test_size: Size, split_seed: int
) -> EmbeddedSplit:
    """Reads the molecules and splits them.

    Args:
        name: Data set, a file of `hydramol.data.embedded`.
        max_heavy_atoms: Keep molecules of at most so many atoms that are not hydrogen; None keeps all.
        train_size: Molecules of the training split: a count, a fraction, or None for the rest.
        valid_size: The same of the validation split.
        test_size: The same of the test split.
        split_seed: Seed of the split.

    Raises:
        DataError: There is no such data, or a split would be empty.
    """
    raw = embedded.load(name)
    where = f"embedded data {name!r}"
    arrays = MoleculeArrays(raw["z"], raw["pos"], raw["n_atoms"], np.array(raw["smiles"]), raw["energy"])
    small = arrays.have_at_most(max_heavy_atoms)
    kept = np.flatnonzero(small)
    parts = random_splits(len(kept), train_size, valid_size, test_size, split_seed, where)
    splits = {side: kept[part] for side, part in parts.items()}
    return EmbeddedSplit(arrays.select(small), kept, splits, where)
