"""Molecules held in memory as flat tensors: a batch is one vectorised gather."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hydramol.core.batch import Batch
from hydramol.core.errors import DataError
from hydramol.core.keys import key_of
from hydramol.data.statistics import molecule_statistics

LARGEST_Z = 118


class FlatMolecules:
    """A data set of molecules in memory (`hydramol.core.protocols.Dataset`).

    Args:
        z: Atomic numbers, molecules joined, ``[atoms]``.
        pos: Positions, ``[atoms, 3]``, Angstrom.
        n_atoms: Atoms of each molecule, ``[molecules]``.
        splits: Item indices of "train", "val" and "test".
        energy: Total energies, ``[molecules]``, eV; kept in float64, where positions are float32.
        charge: Total charges, ``[molecules]``, e.
        multiplicity: Spin multiplicities, ``[molecules]``.
        names: A name of each molecule, for people; its SMILES where there is one.
        where: Name of the file or data, for errors.

    Attributes:
        sizes: ``{"atom": [molecules]}``.
        splits: As given, int64.
        names: As given, or the numbers of the items.

    Raises:
        DataError: Shapes do not fit, a number is not finite, an element is unknown, a split is empty or overlaps.
    """

    def __init__(
        self,
        z: np.ndarray | Tensor,
        pos: np.ndarray | Tensor,
        n_atoms: np.ndarray | Tensor,
        *,
        splits: Mapping[str, np.ndarray],
        energy: np.ndarray | Tensor | None = None,
        charge: np.ndarray | Tensor | None = None,
        multiplicity: np.ndarray | Tensor | None = None,
        names: Sequence[str] | np.ndarray | None = None,
        where: str = "data",
    ) -> None:
        self._where = where
        sizes = torch.as_tensor(n_atoms)
        given = {"z": z, "pos": pos, "energy": energy, "charge": charge, "multiplicity": multiplicity}
        fields = {name: torch.as_tensor(value) for name, value in given.items() if value is not None}
        self._check(fields, sizes)
        self.names: Sequence[str] | np.ndarray = [str(i) for i in range(len(sizes))] if names is None else names
        if len(self.names) != len(sizes):
            raise DataError(f"{len(self.names)} names for {len(sizes)} molecules", where=where)
        dtypes = {"pos": torch.float32, "energy": torch.float64}
        self._fields = {name: value.to(dtypes.get(name, torch.int64)) for name, value in fields.items()}
        self._n_atoms = sizes.to(torch.int64)
        self._first = torch.cumsum(self._n_atoms, 0) - self._n_atoms
        self.sizes: Mapping[str, np.ndarray] = {"atom": self._n_atoms.numpy()}
        self.splits: Mapping[str, np.ndarray] = self._checked(splits)

    def __len__(self) -> int:
        return len(self._n_atoms)

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> Batch:
        """Molecules for keys (epoch, item), as one flat batch."""
        return self.gather(torch.tensor([item for _, item in keys], dtype=torch.int64))

    def __getitem__(self, item: int) -> Any:
        """One molecule as a PyG ``Data``."""
        if not -len(self) <= item < len(self):
            raise IndexError(f"item {item} of {len(self)}")
        return self.gather(torch.tensor([item % len(self)])).to_pyg()[0]

    def gather(self, items: Tensor) -> Batch:
        """Molecules as a flat batch with their ``item`` numbers.

        Args:
            items: ``[k]`` int64, in any order, repeated or not.
        """
        sizes = self._n_atoms[items]
        first = torch.cumsum(sizes, 0) - sizes
        total = int(sizes.sum())
        rows = torch.repeat_interleave(self._first[items] - first, sizes, output_size=total) + torch.arange(total)
        fields = {name: value[items if key_of(name).axis == "graph" else rows] for name, value in self._fields.items()}
        return Batch({**fields, "item": items}, {"atom": sizes})

    def statistics(self, indices: np.ndarray) -> dict[str, Tensor]:
        """Statistics of some molecules: see `hydramol.data.statistics.molecule_statistics`.

        Args:
            indices: Items, ``[k]``: the training split.
        """
        batch = self.gather(torch.as_tensor(np.asarray(indices, dtype=np.int64)))
        return molecule_statistics(batch["z"], batch["pos"], batch.sizes["atom"], batch.fields.get("energy"))

    # --- what is checked -----------------------------------------------------------------------------------------

    def _check(self, fields: Mapping[str, Tensor], sizes: Tensor) -> None:
        if sizes.dim() != 1 or len(sizes) == 0 or sizes.is_floating_point():
            raise self._wrong(f"n_atoms must be integers [molecules]; got {sizes.dtype}, shape {tuple(sizes.shape)}")
        if bool((sizes < 1).any()):
            raise self._wrong("has no atoms", int((sizes < 1).nonzero()[0]))
        n_atoms = int(sizes.sum())
        for name, value in fields.items():
            leading = len(sizes) if key_of(name).axis == "graph" else n_atoms
            expected = (leading, *key_of(name).axes[1:])
            if tuple(value.shape) != expected:
                raise self._wrong(f"{name} has shape {tuple(value.shape)}, n_atoms asks for {expected}")
        owner = torch.repeat_interleave(torch.arange(len(sizes)), sizes)
        unknown = (fields["z"] < 1) | (fields["z"] > LARGEST_Z)
        if bool(unknown.any()):
            atom = int(unknown.nonzero()[0])
            raise self._wrong(f"atomic number {fields['z'][atom].item()} is no element", int(owner[atom]))
        for name, value in fields.items():
            bad = ~torch.isfinite(value)
            if bool(bad.any()):
                row = int(bad.nonzero()[0, 0])
                item = row if key_of(name).axis == "graph" else int(owner[row])
                raise self._wrong(f"{name} is not finite", item)

    def _checked(self, splits: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        found = {name: np.asarray(indices, dtype=np.int64) for name, indices in splits.items()}
        for name, indices in found.items():
            if len(indices) == 0:
                raise self._wrong(f"the {name} split is empty")
            if indices.min() < 0 or indices.max() >= len(self):
                raise self._wrong(f"the {name} split names items outside 0 ... {len(self) - 1}")
        joined = np.concatenate(list(found.values())) if found else np.zeros(0)
        if len(np.unique(joined)) != len(joined):
            raise self._wrong("splits share items")
        return found

    def _wrong(self, what: str, item: int | None = None) -> DataError:
        return DataError(what if item is None else f"molecule {item}: {what}", where=self._where)
