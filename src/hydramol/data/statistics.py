"""What a model may know of its training data: sizes, compositions, variance of positions, energies."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def molecule_statistics(z: Tensor, pos: Tensor, n_atoms: Tensor, energy: Tensor | None = None) -> dict[str, Tensor]:
    """Statistics of molecules laid one after the other; all tensors, so that a checkpoint can hold them.

    Args:
        z: Atomic numbers, ``[atoms]``.
        pos: Positions, ``[atoms, 3]``, Angstrom.
        n_atoms: Atoms of each molecule, ``[molecules]``.
        energy: Total energies, ``[molecules]``, eV; None leaves their statistics out.

    Returns:
        ``n_items``; ``position_variance``: variance of a coordinate about the centre of its molecule, over all atoms,
        Angstrom^2, float64; ``size_histogram``: molecules of each number of atoms, ``[most atoms + 1]``; ``elements``:
        atomic numbers that occur, ascending; each distinct composition by its atoms, ``composition_z`` (ascending in a
        composition, compositions joined), ``composition_sizes`` and ``composition_counts``; with energies
        ``energy_mean`` and ``energy_std`` over molecules, eV, float64.
    """
    n_items = len(n_atoms)
    owner = torch.repeat_interleave(torch.arange(n_items), n_atoms)
    double = pos.to(torch.float64)
    centre = torch.zeros(n_items, 3, dtype=torch.float64).index_add_(0, owner, double) / n_atoms[:, None]
    found = {
        "n_items": torch.tensor(n_items),
        "position_variance": (double - centre[owner]).square().mean(),
        "size_histogram": torch.bincount(n_atoms),
        **_compositions(z, owner, n_items),
    }
    if energy is not None:
        energies = energy.to(torch.float64)
        found |= {"energy_mean": energies.mean(), "energy_std": energies.std(correction=0)}
    return found


def _compositions(z: Tensor, owner: Tensor, n_items: int) -> dict[str, Tensor]:
    """Distinct compositions, in the order of their counts of the lightest element, then the next."""
    elements, element = torch.unique(z, return_inverse=True)
    formula = torch.bincount(owner * len(elements) + element, minlength=n_items * len(elements))
    # NumPy finds unique rows by sorting; torch.unique(dim=0) is many times slower for 10^5 rows.
    rows, counts = np.unique(formula.reshape(n_items, -1).numpy(), axis=0, return_counts=True)
    formulas = torch.from_numpy(rows)
    return {
        "elements": elements.to(torch.int64),
        "composition_z": torch.repeat_interleave(elements.to(torch.int64).repeat(len(rows)), formulas.flatten()),
        "composition_sizes": formulas.sum(1),
        "composition_counts": torch.from_numpy(counts),
    }
