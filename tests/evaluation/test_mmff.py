"""MMFF94 brings molecules to rest, and says which it has no types for."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase.build import molecule

from hydramol.core.batch import Batch
from hydramol.evaluation.mmff import bonds_of, relax


def batch_of(*names: str) -> Batch:
    found = [molecule(name) for name in names]
    return Batch(
        {
            "z": torch.from_numpy(np.concatenate([one.numbers for one in found])),
            "pos": torch.from_numpy(np.concatenate([one.positions for one in found])),
            "item": torch.arange(len(found)),
        },
        {"atom": torch.tensor([len(one) for one in found])},
    )


def test_bonds_of_each_molecule() -> None:
    water, ethane = bonds_of(batch_of("H2O", "C2H6"))
    assert water.sum() == 2 * 2
    assert ethane.sum() == 2 * 7


def test_a_stretched_bond_relaxes() -> None:
    ethane = molecule("C2H6")
    (bonds,) = bonds_of(batch_of("C2H6"))
    stretched = ethane.positions.copy()
    stretched[:, 2] *= 1.15
    found = relax(ethane.numbers, stretched, bonds)
    assert found is not None
    assert found.converged
    assert np.linalg.norm(found.pos[0] - found.pos[1]) == pytest.approx(1.51, abs=0.02)
    assert not np.allclose(found.pos, stretched)


def test_steps_can_run_out() -> None:
    ethane = molecule("C2H6")
    (bonds,) = bonds_of(batch_of("C2H6"))
    found = relax(ethane.numbers, ethane.positions * 1.2, bonds, max_steps=1)
    assert found is not None
    assert not found.converged


@pytest.mark.parametrize("name", ["CH3", "BF3"])
def test_what_it_has_no_types_for(name: str) -> None:
    """A radical is no molecule to the bond orders, boron has no type."""
    one = molecule(name)
    bonded = np.zeros((len(one), len(one)), dtype=bool)
    bonded[0, 1:] = bonded[1:, 0] = True
    assert relax(one.numbers, one.positions, bonded) is None
