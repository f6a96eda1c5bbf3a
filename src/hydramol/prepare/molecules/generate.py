"""Draws small organic molecules as graphs: elements, a random tree over them, then rings and multiple bonds.

Only what neutral, closed-shell valences allow is drawn (C 4, N 3, O 2, F 1). The weights below make statistics of
elements, sizes, rings and bonds resemble those of QM9 (Ramakrishnan et al. 2014, doi:10.1038/sdata.2014.22), with more
molecules of up to seven heavy atoms. The rules refuse what chemists would not put in a flask, in the manner of GDB-17
(Ruddigkeit et al. 2012, doi:10.1021/ci300415d).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

from hydramol.core.engines import require

VALENCE = {"C": 4, "N": 3, "O": 2, "F": 1}

PATIENCE = 20_000  # draws without a new molecule before giving up

# Weights of what is drawn, not of what is kept: the rules refuse some kinds more often than others, and the smallest
# sizes run out of distinct molecules.
SIZE_WEIGHTS = (0.03, 0.03, 0.04, 0.05, 0.08, 0.16, 0.26, 0.09, 0.42)  # 1, 2, ... heavy atoms
ELEMENT_WEIGHTS = {"C": 0.57, "N": 0.18, "O": 0.245, "F": 0.005}
AROMATIC_RING = 0.8  # probability of starting from an aromatic ring
RING_WEIGHTS = (0.05, 0.32, 0.38, 0.25)  # 0, 1, ... further rings
RING_SIZE_WEIGHTS = {3: 0.46, 4: 0.24, 5: 0.21, 6: 0.08, 7: 0.01}
PI_WEIGHTS = (0.08, 0.17, 0.27, 0.26, 0.15, 0.07)  # 0, 1, ... further double bonds (a triple bond is two)
PI_BOND_WEIGHTS = {"CC": 0.05, "CN": 0.25, "CO": 4.0}  # where a double bond goes; other pairs get none
TRIPLE_WEIGHT = 100.0  # factor for making a double bond triple

REFUSED = {
    "cumulated double bonds": "*=*=*",
    "a triple bond in a ring": "*#@*",
    "a double bond in a three-ring": "*1=,:*~*1",
    "a double bond on a three-ring": "*=!@*1~*~*1",
    "a cyclobutadiene": "*1=,:*~*=,:*1",
    "two three-rings on one bond": "*1~2~*~*~1~*~2",
    "three heteroatoms in a row": "[#7,#8,#9]~[#7,#8,#9]~[N,O,F]",
    "a single bond of heteroatoms outside oximes and hydrazones": "[N,O,F;!$(N=C)]-[N,O,F;!$(N=C)]",
    "a heteroatom on a heteroatom of an aromatic ring": "[n,o]-[N,O,F]",
    "fluorine on a heteroatom": "F~[#7,#8,#9]",
    "an azo or nitroso group": "[N,n;!a]=[N,O]",
    "a hemiacetal or aminal with a hydrogen to lose": "[CX4]([OX2H,NX3H1,NX3H2])[#7,#8,#9]",
    "three heteroatoms on a carbon": "[CX4]([#7,#8,#9])([#7,#8,#9])[#7,#8]",
    "an enol or a primary enamine": "C=C[OX2H,NX3H2]",
    "an imidic acid": "N=C[OX2H]",
    "an ynol or ynamine": "C#C[O,N,F]",
    "a carbonic or carbamic acid": "[OX2H]C(=O)[#7,#8,#9]",
    "an acyl or imidoyl fluoride": "FC=[O,N]",
}


@cache
def _rules() -> dict[str, Any]:
    chem = require("rdkit.Chem", "qm")
    return {name: chem.MolFromSmarts(pattern) for name, pattern in REFUSED.items()}


def refusal(molecule: Any) -> str | None:
    """Why a sanitised RDKit molecule is refused; None if it is not."""
    for name, pattern in _rules().items():
        if molecule.HasSubstructMatch(pattern):
            return name
    bridgeheads: list[int] = []
    require("rdkit.Chem.rdMolDescriptors", "qm").CalcNumBridgeheadAtoms(molecule, bridgeheads)
    for index in bridgeheads:
        if any(bond.GetBondTypeAsDouble() > 1 for bond in molecule.GetAtomWithIdx(index).GetBonds()):
            return "a double bond at a bridgehead (Bredt's rule)"
    return None


def _pick(rng: np.random.Generator, weights: Any) -> int:
    """An index, drawn by weights that need not sum to 1."""
    ladder = np.cumsum(np.asarray(weights, dtype=np.float64))
    return int(np.searchsorted(ladder, rng.random() * ladder[-1], side="right"))


def draw_bonds(elements: list[str], rng: np.random.Generator) -> np.ndarray | None:
    """Draws a connected graph of bonds.

    Args:
        elements: Heavy atoms; the first is where the tree starts.
        rng: Source of randomness.

    Returns:
        Bond orders ``[atoms, atoms]``, symmetric; None where the valences do not allow what was drawn.
    """
    n = len(elements)
    orders = np.zeros((n, n), dtype=np.int64)
    free = np.array([VALENCE[element] for element in elements])

    def bind(i: int, j: int) -> None:
        orders[i, j] += 1
        orders[j, i] += 1
        free[[i, j]] -= 1

    start = 1
    if n >= 5 and rng.random() < AROMATIC_RING:
        start = 5 + int(n >= 6 and rng.random() < 0.5)
        if not _may_be_aromatic(elements[:start]):
            return None
        for i in range(start):
            bind(i, (i + 1) % start)
        for i in range(0, start - 1, 2):
            bind(i, i + 1)
    for new in range(start, n):
        if not free[:new].any():
            return None
        bind(_pick(rng, free[:new] ** 2), new)

    for _ in range(_pick(rng, RING_WEIGHTS)):
        size = list(RING_SIZE_WEIGHTS)[_pick(rng, list(RING_SIZE_WEIGHTS.values()))]
        ends = np.argwhere(np.triu(_steps(orders) == size - 1) & (free[:, None] > 0) & (free > 0))
        if not len(ends):
            return None
        bind(*ends[rng.integers(len(ends))])

    weights = np.array([[PI_BOND_WEIGHTS.get("".join(sorted(i + j)), 0.0) for j in elements] for i in elements])
    for _ in range(_pick(rng, PI_WEIGHTS)):
        allowed = np.triu(orders > 0) * weights * np.where(orders == 2, TRIPLE_WEIGHT, 1.0)
        allowed *= (free[:, None] > 0) & (free > 0)
        if not allowed.any():
            return None
        bind(*divmod(_pick(rng, allowed.ravel()), n))
    return orders


def _may_be_aromatic(elements: list[str]) -> bool:
    """Whether alternating double bonds fit a ring of these atoms; in a five-ring the last one gives a lone pair."""
    *paired, last = elements
    return all(VALENCE[element] >= 3 for element in paired) and last in (
        ("N", "O") if len(elements) == 5 else ("C", "N")
    )


def _steps(orders: np.ndarray) -> np.ndarray:
    """Bonds on the shortest way between two atoms, ``[atoms, atoms]``."""
    linked = orders > 0
    steps = np.where(np.eye(len(orders), dtype=bool), 0, -1)
    reached = np.eye(len(orders), dtype=bool)
    for step in range(1, len(orders)):
        new = (reached @ linked) & ~reached
        steps[new] = step
        reached |= new
    return steps


def to_smiles(elements: list[str], orders: np.ndarray) -> str | None:
    """Canonical SMILES of a graph; None where RDKit or the rules refuse it."""
    chem = require("rdkit.Chem", "qm")
    kinds = {1: chem.BondType.SINGLE, 2: chem.BondType.DOUBLE, 3: chem.BondType.TRIPLE}
    if orders.max(initial=0) > 3:
        return None
    molecule = chem.RWMol()
    for element in elements:
        molecule.AddAtom(chem.Atom(element))
    for i, j in np.argwhere(np.triu(orders)):
        molecule.AddBond(int(i), int(j), kinds[int(orders[i, j])])
    # Valences were kept while drawing, so nothing but kekulisation could fail here.
    if chem.SanitizeMol(molecule, catchErrors=True) != chem.SanitizeFlags.SANITIZE_NONE or refusal(molecule):
        return None
    return chem.MolToSmiles(molecule)


def draw_smiles(seed: int, max_heavy_atoms: int) -> Iterator[str]:
    """Draws distinct molecules, the same ones for the same seed and RDKit; ends where no more are found in many draws.

    Args:
        seed: Seed.
        max_heavy_atoms: Largest number of atoms other than hydrogen.

    Yields:
        Canonical SMILES without stereochemistry.

    Raises:
        ValueError: The sizes are beyond the weights.
    """
    if not 1 <= max_heavy_atoms <= len(SIZE_WEIGHTS):
        raise ValueError(f"max_heavy_atoms must lie in 1..{len(SIZE_WEIGHTS)}, got {max_heavy_atoms}")
    rng = np.random.default_rng(seed)
    symbols = list(ELEMENT_WEIGHTS)
    seen: set[str] = set()
    idle = 0
    while idle < PATIENCE:
        idle += 1
        n_heavy = 1 + _pick(rng, SIZE_WEIGHTS[:max_heavy_atoms])
        # The first atom is carbon: the data set is one of organic molecules.
        elements = ["C"] + [symbols[_pick(rng, list(ELEMENT_WEIGHTS.values()))] for _ in range(n_heavy - 1)]
        orders = draw_bonds(elements, rng)
        smiles = None if orders is None else to_smiles(elements, orders)
        if smiles is not None and smiles not in seen:
            seen.add(smiles)
            idle = 0
            yield smiles
