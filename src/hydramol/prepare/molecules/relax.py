"""From SMILES to a relaxed structure: ETKDG conformers, MMFF94, GFN2-xTB, and a check that it is still that molecule.

ETKDG: Riniker & Landrum 2015, doi:10.1021/acs.jcim.5b00654. GFN2-xTB: Bannwarth, Ehlert & Grimme 2019,
doi:10.1021/acs.jctc.8b01176, as tblite computes it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from hydramol.core.engines import require
from hydramol.evaluation import gfn2

# Two atoms are bonded where they are nearer than this many sums of their covalent radii.
BOND_FACTOR = 1.2


class Relaxed(NamedTuple):
    """A structure at rest.

    Attributes:
        z: Atomic numbers ``[atoms]``.
        pos: Positions ``[atoms, 3]``, Angstrom, centred.
        energy: Total energy, eV.
    """

    z: np.ndarray
    pos: np.ndarray
    energy: float


@dataclass(frozen=True)
class Relaxation:
    """Settings of the relaxation.

    Attributes:
        fmax: Largest force that may be left on an atom, eV/Angstrom.
        max_steps: Steps after which a structure is given up.
        n_conformers: Conformers tried; the one lowest in MMFF94 is relaxed.
        method: Hamiltonian, as tblite names it.
    """

    fmax: float = 0.01
    max_steps: int = 400
    n_conformers: int = 4
    method: str = "GFN2-xTB"

    def __call__(self, smiles: str, seed: int) -> Relaxed | None:
        """Relaxes one molecule; None where it cannot be built, does not come to rest, or becomes another molecule."""
        chem = require("rdkit.Chem", "qm")
        molecule = chem.AddHs(chem.MolFromSmiles(smiles))
        start = self._conformer(molecule, seed)
        if start is None:
            return None
        z = np.array([atom.GetAtomicNum() for atom in molecule.GetAtoms()])
        relaxed = self._relax(z, start)
        if relaxed is None or not np.array_equal(perceive_bonds(z, relaxed.pos), bonds_of(molecule)):
            return None
        return relaxed

    def _conformer(self, molecule: Any, seed: int) -> np.ndarray | None:
        """Positions ``[atoms, 3]`` of the conformer lowest in energy; None if there is none."""
        chem = require("rdkit.Chem.AllChem", "qm")
        settings = chem.ETKDGv3()
        settings.randomSeed = seed
        if not list(chem.EmbedMultipleConfs(molecule, self.n_conformers, settings)):
            return None
        best = 0
        if chem.MMFFHasAllMoleculeParams(molecule):
            energies = [energy for _, energy in chem.MMFFOptimizeMoleculeConfs(molecule)]
            best = int(np.argmin(energies))
        return np.array(list(molecule.GetConformers())[best].GetPositions())

    def _relax(self, z: np.ndarray, start: np.ndarray) -> Relaxed | None:
        found = gfn2.relax(z, start, self.fmax, self.max_steps, self.method)
        if found is None or not found.converged:  # a structure whose charges do not converge is no molecule for us
            return None
        return Relaxed(z, found.pos - found.pos.mean(axis=0), found.energy)


def bonds_of(molecule: Any) -> np.ndarray:
    """Which atoms of an RDKit molecule are bonded, ``[atoms, atoms]`` bool."""
    return np.asarray(require("rdkit.Chem", "qm").GetAdjacencyMatrix(molecule)).astype(bool)


def perceive_bonds(z: np.ndarray, pos: np.ndarray) -> np.ndarray:
    """Which atoms are bonded by their distances.

    Args:
        z: Atomic numbers ``[atoms]``.
        pos: Positions ``[atoms, 3]``, Angstrom.

    Returns:
        ``[atoms, atoms]`` bool, symmetric. Radii: Cordero et al. 2008, doi:10.1039/b801115j.
    """
    radii = require("ase.data", "qm").covalent_radii[z]
    distances = np.linalg.norm(pos[:, None] - pos, axis=-1)
    return (distances < BOND_FACTOR * (radii[:, None] + radii)) & ~np.eye(len(z), dtype=bool)
