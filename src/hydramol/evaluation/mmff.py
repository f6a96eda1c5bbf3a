"""Relaxation with a classical force field: MMFF94 (Halgren 1996, J. Comput. Chem. 17, 490) as RDKit has it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from hydramol.core.batch import Batch
from hydramol.evaluation.bond_rules import EDM, BondRule
from hydramol.evaluation.stability import stability
from hydramol.evaluation.validity import with_bond_orders


class Minimum(NamedTuple):
    """Where a relaxation ended.

    Attributes:
        pos: Positions ``[atoms, 3]``, Angstrom.
        converged: Whether the gradient fell below RDKit's limit.
    """

    pos: np.ndarray
    converged: bool


def relax(z: np.ndarray, pos: np.ndarray, bonded: np.ndarray, max_steps: int = 2000) -> Minimum | None:
    """Walks downhill with BFGS.

    Args:
        z: Atomic numbers ``[atoms]``.
        pos: Positions ``[atoms, 3]``, Angstrom.
        bonded: Which atoms are bonded, ``[atoms, atoms]`` bool; RDKit works out the bond orders.
        max_steps: Steps after which the search ends where it is.

    Returns:
        None where these bonds make no molecule, or one with atoms for which the force field has no type.
    """
    from rdkit import rdBase
    from rdkit.Chem import rdForceFieldHelpers
    from rdkit.Geometry import Point3D

    mol = with_bond_orders(z, bonded)
    with rdBase.BlockLogs():
        if mol is None or not rdForceFieldHelpers.MMFFHasAllMoleculeParams(mol):
            return None
        conformer = mol.GetConformer()
        for atom, (x, y, height) in enumerate(pos.tolist()):
            conformer.SetAtomPosition(atom, Point3D(x, y, height))
        left = rdForceFieldHelpers.MMFFOptimizeMolecule(mol, maxIters=max_steps)
    return None if left < 0 else Minimum(np.array(conformer.GetPositions()), left == 0)


def bonds_of(batch: Batch, rule: BondRule = EDM) -> list[np.ndarray]:
    """Which atoms are bonded in each structure, ``[atoms, atoms]`` bool, by a rule on distances.

    Args:
        batch: Structures with ``z`` and ``pos`` (Angstrom), in either layout.
        rule: Says which atoms are bonded.
    """
    bonded = (stability(batch, rule).bond_orders > 0).cpu().numpy()
    return [bonded[item, :size, :size] for item, size in enumerate(torch.as_tensor(batch.sizes["atom"]).tolist())]
