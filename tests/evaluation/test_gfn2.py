"""GFN2: the Hessian it starts with, known minima, charges, and what does not converge."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hydramol.evaluation.gfn2 import energy_of, model_hessian, relax

ETHENE_Z = np.array([6, 6, 1, 1, 1, 1])
ETHENE = np.array(
    [[0, 0, 0.66], [0, 0, -0.66], [0, 0.92, 1.23], [0, -0.92, 1.23], [0, 0.92, -1.23], [0, -0.92, -1.23]], dtype=float
)


def test_model_hessian_is_positive_definite_and_turns_with_the_molecule() -> None:
    hessian = model_hessian(ETHENE_Z, ETHENE)
    assert np.allclose(hessian, hessian.T)
    assert np.linalg.eigvalsh(hessian).min() > 1.0
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    big = np.kron(np.eye(len(ETHENE_Z)), turn)
    assert np.allclose(model_hessian(ETHENE_Z, ETHENE @ turn.T), big @ hessian @ big.T)
    # The stiffest direction is a C-H or C=C stretch: along bonds, not across them.
    assert hessian[2, 2] > 3 * hessian[0, 0]


def test_water_comes_to_rest_at_its_known_shape() -> None:
    pytest.importorskip("tblite.ase")
    z, start = np.array([8, 1, 1]), np.array([[0.0, 0.0, 0.0], [1.1, 0.0, 0.0], [-0.3, 1.0, 0.0]])
    found = relax(z, start)
    assert found is not None
    assert found.converged
    arms = found.pos[1:] - found.pos[0]
    lengths = np.linalg.norm(arms, axis=1)
    assert lengths == pytest.approx([0.96, 0.96], abs=0.01)
    assert np.degrees(np.arccos(arms[0] @ arms[1] / lengths.prod())) == pytest.approx(107, abs=2)
    assert energy_of(z, found.pos) == pytest.approx(found.energy, abs=1e-6)
    assert energy_of(z, start) > found.energy


def test_a_search_that_runs_out_of_steps_says_so() -> None:
    pytest.importorskip("tblite.ase")
    found = relax(ETHENE_Z, ETHENE * 1.05, max_steps=1)
    assert found is not None
    assert (found.n_steps, found.converged) == (1, False)


def test_charge_matters() -> None:
    pytest.importorskip("tblite.ase")
    z, pos = np.array([8, 1]), np.array([[0.0, 0.0, 0.0], [0.97, 0.0, 0.0]])
    assert energy_of(z, pos, charge=-1) < energy_of(z, pos, charge=1)


def test_energy_of_a_broken_structure_is_nan() -> None:
    assert math.isnan(energy_of(np.array([8, 1]), np.array([[0.0, 0.0, np.nan], [1.0, 0.0, 0.0]])))
