"""Displaced structures, each with the minimum it is of; and splits that keep what belongs together on one side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from hydramol.data.flat_molecules import FlatMolecules
from hydramol.data.splits import Size, random_splits


class MoleculePairs(FlatMolecules):
    """Molecules in memory that know the minimum they were displaced from: fields ``pos`` and ``pos_reference``.

    Both are points, so they are moved, turned and padded together. The atoms of the two have the same order; the two
    structures are not superposed.

    Args:
        z: Atomic numbers, molecules joined, ``[atoms]``.
        pos: Displaced positions, ``[atoms, 3]``, Angstrom.
        n_atoms: Atoms of each structure, ``[structures]``.
        splits: Item indices of "train", "val" and "test".
        pos_reference: Positions of the minima, ``[atoms, 3]``, Angstrom; None for minima alone.
        energy: Total energies of the displaced structures, ``[structures]``, eV, or None.
        names: A name of each structure.
        where: Name of the file or data, for errors.

    Raises:
        DataError: As for `hydramol.data.flat_molecules.FlatMolecules`.
    """

    def __init__(
        self,
        z: np.ndarray | Tensor,
        pos: np.ndarray | Tensor,
        n_atoms: np.ndarray | Tensor,
        *,
        splits: Mapping[str, np.ndarray],
        pos_reference: np.ndarray | Tensor | None = None,
        energy: np.ndarray | Tensor | None = None,
        names: Sequence[str] | np.ndarray | None = None,
        where: str = "data",
    ) -> None:
        super().__init__(z, pos, n_atoms, splits=splits, energy=energy, names=names, where=where)
        if pos_reference is not None:
            reference = torch.as_tensor(pos_reference)
            self._check({"z": self._fields["z"], "pos_reference": reference}, self._n_atoms)
            self._fields["pos_reference"] = reference.to(torch.float32)


def group_splits(
    groups: np.ndarray,
    train_size: Size,
    valid_size: Size,
    test_size: Size,
    seed: int,
    where: str = "data",
) -> dict[str, np.ndarray]:
    """Random splits of groups: all items of a group are on the same side.

    Args:
        groups: Group of each item, ``[items]`` integers.
        train_size: Groups of the training split: a count, a fraction, or None for the rest.
        valid_size: The same of the validation split.
        test_size: The same of the test split.
        seed: Seed of the split.
        where: Name of the data, for errors.

    Returns:
        Ascending item indices of "train", "val" and "test".

    Raises:
        DataError: As for `hydramol.data.splits.random_splits`.
    """
    known = np.unique(groups)
    parts = random_splits(len(known), train_size, valid_size, test_size, seed, where)
    return {name: np.flatnonzero(np.isin(groups, known[part])) for name, part in parts.items()}
