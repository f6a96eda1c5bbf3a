"""GFN2-xTB: energies and minima (Bannwarth, Ehlert & Grimme 2019, doi:10.1021/acs.jctc.8b01176), as tblite computes it.

tblite comes with the extra ``qm`` and is imported when it is needed.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from hydramol.core.engines import require

METHOD = "GFN2-xTB"


class Minimum(NamedTuple):
    """Where a relaxation ended.

    Attributes:
        pos: Positions ``[atoms, 3]``, Angstrom.
        energy: Total energy, eV.
        n_steps: Steps of the optimiser.
        converged: Whether the forces fell below the limit.
    """

    pos: np.ndarray
    energy: float
    n_steps: int
    converged: bool


def relax(
    z: np.ndarray,
    pos: np.ndarray,
    fmax: float = 0.01,
    max_steps: int = 400,
    method: str = METHOD,
    charge: int = 0,
    multiplicity: int = 1,
) -> Minimum | None:
    """Walks downhill with BFGS.

    Args:
        z: Atomic numbers ``[atoms]``.
        pos: Positions ``[atoms, 3]``, Angstrom.
        fmax: Largest force that may be left on an atom, eV/Angstrom.
        max_steps: Steps after which the search ends where it is.
        method: Hamiltonian, as tblite names it.
        charge: Total charge, e.
        multiplicity: Spin multiplicity.

    Returns:
        None where the self-consistent charges of a badly distorted structure do not converge.

    Raises:
        HydramolError: tblite is not installed.
    """
    atoms = _atoms(z, pos, method, charge, multiplicity)
    optimizer = require("ase.optimize", "qm").BFGS(atoms, logfile=None)
    optimizer.H0 = model_hessian(z, pos)  # in place of a multiple of the unit matrix: half the steps
    try:
        converged = bool(optimizer.run(fmax=fmax, steps=max_steps))
        energy = float(atoms.get_potential_energy())
    except require("ase.calculators.calculator", "qm").CalculationFailed:
        return None
    return Minimum(atoms.get_positions(), energy, int(optimizer.nsteps), converged)


def energy_of(z: np.ndarray, pos: np.ndarray, method: str = METHOD, charge: int = 0, multiplicity: int = 1) -> float:
    """Total energy of a structure, eV; nan where the charges do not converge or a position is not finite.

    Args:
        z: Atomic numbers ``[atoms]``.
        pos: Positions ``[atoms, 3]``, Angstrom.
        method: Hamiltonian, as tblite names it.
        charge: Total charge, e.
        multiplicity: Spin multiplicity.

    Raises:
        HydramolError: tblite is not installed.
    """
    if not np.isfinite(pos).all():
        return math.nan
    try:
        return float(_atoms(z, pos, method, charge, multiplicity).get_potential_energy())
    except require("ase.calculators.calculator", "qm").CalculationFailed:
        return math.nan


def _atoms(z: np.ndarray, pos: np.ndarray, method: str, charge: int, multiplicity: int) -> Any:
    atoms = require("ase", "qm").Atoms(numbers=z, positions=pos)
    calculator = require("tblite.ase", "qm").TBLite
    atoms.calc = calculator(method=method, charge=charge, multiplicity=multiplicity, verbosity=0)
    return atoms


def model_hessian(z: np.ndarray, pos: np.ndarray) -> np.ndarray:
    """A rough Hessian to begin with: springs between all atoms that soften with distance, after Lindh et al. 1995.

    Springs between pairs alone, where doi:10.1016/0009-2614(95)00646-L has bends and torsions too; a constant on the
    diagonal stands for those.

    Args:
        z: Atomic numbers ``[atoms]``.
        pos: Positions ``[atoms, 3]``, Angstrom.

    Returns:
        ``[3 atoms, 3 atoms]``, eV/Angstrom^2, positive definite.
    """
    stiffness, decay, rest = 35.0, 3.0, 5.0
    n = len(z)
    radii = require("ase.data", "qm").covalent_radii[z]
    difference = pos[:, None] - pos
    distance = np.linalg.norm(difference, axis=-1) + np.eye(n)
    springs = stiffness * np.exp(-decay * (distance / (radii[:, None] + radii) - 1.0)) * ~np.eye(n, dtype=bool)
    direction = difference / distance[..., None]
    blocks = -springs[..., None, None] * direction[..., :, None] * direction[..., None, :]
    blocks[np.arange(n), np.arange(n)] = -blocks.sum(axis=1)
    return blocks.transpose(0, 2, 1, 3).reshape(3 * n, 3 * n) + rest * np.eye(3 * n)
