"""The molecules that ship with the package."""

from __future__ import annotations

import numpy as np

from hydramol.data import embedded
from hydramol.data.flat_molecules import FlatMolecules
from hydramol.data.molecule_arrays import MoleculeArrays
from hydramol.data.splits import Size, random_splits


class EmbeddedMolecules(FlatMolecules):
    """Molecules embedded in the package, relaxed with GFN2-xTB.

    Args:
        name: Data set, a file of `hydramol.data.embedded`.
        max_heavy_atoms: Keep molecules of at most so many atoms that are not hydrogen; None keeps all.
        train_size: Molecules of the training split: a count, a fraction, or None for the rest.
        valid_size: The same of the validation split.
        test_size: The same of the test split.
        split_seed: Seed of the split.
    """

    def __init__(
        self,
        name: str = "molecules",
        max_heavy_atoms: int | None = None,
        train_size: Size = None,
        valid_size: Size = 0.1,
        test_size: Size = 0.1,
        split_seed: int = 0,
    ) -> None:
        raw = embedded.load(name)
        where = f"embedded data {name!r}"
        arrays = MoleculeArrays(raw["z"], raw["pos"], raw["n_atoms"], np.array(raw["smiles"]), raw["energy"])
        arrays = arrays.with_at_most(max_heavy_atoms)
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
