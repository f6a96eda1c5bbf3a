"""Relaxed structures: known geometries, forces, and the bond graph."""

from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms

from hydramol.prepare.molecules.relax import Relaxation, perceive_bonds

WATER = (np.array([8, 1, 1]), np.array([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]]))
# Ethene, H-H distances down to 1.8 Angstrom.
ETHENE_Z = np.array([6, 6, 1, 1, 1, 1])
ETHENE = np.array(
    [[0, 0, 0.66], [0, 0, -0.66], [0, 0.92, 1.23], [0, -0.92, 1.23], [0, 0.92, -1.23], [0, -0.92, -1.23]], dtype=float
)


def test_bonds_of_water_by_distance() -> None:
    expected = np.array([[0, 1, 1], [1, 0, 0], [1, 0, 0]], dtype=bool)
    assert np.array_equal(perceive_bonds(*WATER), expected)


def test_a_bond_drawn_apart_is_seen() -> None:
    bonds = perceive_bonds(ETHENE_Z, ETHENE)
    assert bonds.sum() == 2 * 5
    apart = ETHENE.copy()
    apart[2] += [0.0, 0.6, 0.4]
    assert perceive_bonds(ETHENE_Z, apart).sum() == 2 * 4


def test_methanol_comes_to_rest() -> None:
    tblite = pytest.importorskip("tblite.ase")
    relaxation = Relaxation()
    found = relaxation("CO", seed=1)
    assert found is not None
    assert sorted(found.z) == [1, 1, 1, 1, 6, 8]
    assert np.allclose(found.pos.mean(axis=0), 0.0, atol=1e-12)
    assert np.linalg.norm(found.pos[0] - found.pos[1]) == pytest.approx(1.42, abs=0.02)

    atoms = Atoms(numbers=found.z, positions=found.pos)
    atoms.calc = tblite.TBLite(method="GFN2-xTB", verbosity=0)
    assert np.linalg.norm(atoms.get_forces(), axis=1).max() <= relaxation.fmax
    assert atoms.get_potential_energy() == pytest.approx(found.energy, abs=1e-6)


def test_same_seed_same_structure() -> None:
    pytest.importorskip("tblite.ase")
    one, two = (Relaxation()("CC=O", seed=7) for _ in range(2))
    assert one is not None
    assert two is not None
    assert np.array_equal(one.pos, two.pos)
    assert one.energy == two.energy


def test_molecule_that_does_not_come_to_rest_is_lost() -> None:
    pytest.importorskip("tblite.ase")
    assert Relaxation(max_steps=1)("CCO", seed=1) is None


def test_molecule_that_becomes_another_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("tblite.ase")
    # Start from acetaldehyde's atoms drawn as ethenol: the structure handed over has other bonds than the SMILES.
    other = Relaxation()("CC=O", seed=1)
    assert other is not None
    monkeypatch.setattr(Relaxation, "_conformer", lambda self, molecule, seed: other.pos)
    assert Relaxation()("CC=O", seed=1) is not None
    assert Relaxation()("C1CO1", seed=1) is None
