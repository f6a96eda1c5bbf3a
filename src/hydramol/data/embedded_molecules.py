"""The molecules that ship with the package."""

from __future__ import annotations

import numpy as np

from hydramol.data.embedded_split import embedded_split
from hydramol.data.flat_molecules import FlatMolecules
from hydramol.data.splits import Size


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
        found = embedded_split(name, max_heavy_atoms, train_size, valid_size, test_size, split_seed)
        arrays = found.arrays
        super().__init__(
            arrays.z,
            arrays.pos,
            arrays.n_atoms,
            energy=arrays.energy,
            names=arrays.names,
            splits={side: np.searchsorted(found.molecule, items) for side, items in found.splits.items()},
            where=found.where,
        )
