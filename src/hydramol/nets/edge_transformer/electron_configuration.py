"""Ground-state electron configurations, as numbers a net can share between elements."""

from __future__ import annotations

import torch
from torch import Tensor

# Subshells in the order they fill (Madelung's rule).
SUBSHELLS = ("1s", "2s", "2p", "3s", "3p", "4s", "3d", "4p", "5s", "4d", "5p", "6s", "4f", "5d", "6p", "7s", "5f", "6d")
CAPACITY = {"s": 2, "p": 6, "d": 10, "f": 14}
NOBLE_GASES = (2, 10, 18, 36, 54, 86)
MAX_Z = 100

# Where nature departs from the rule: electrons moved between subshells (NIST Atomic Spectra Database, ground levels).
EXCEPTIONS: dict[int, dict[str, int]] = {
    24: {"4s": -1, "3d": 1},
    29: {"4s": -1, "3d": 1},
    41: {"5s": -1, "4d": 1},
    42: {"5s": -1, "4d": 1},
    44: {"5s": -1, "4d": 1},
    45: {"5s": -1, "4d": 1},
    46: {"5s": -2, "4d": 2},
    47: {"5s": -1, "4d": 1},
    57: {"4f": -1, "5d": 1},
    58: {"4f": -1, "5d": 1},
    64: {"4f": -1, "5d": 1},
    78: {"6s": -1, "5d": 1},
    79: {"6s": -1, "5d": 1},
    89: {"5f": -1, "6d": 1},
    90: {"5f": -2, "6d": 2},
    91: {"5f": -1, "6d": 1},
    92: {"5f": -1, "6d": 1},
    93: {"5f": -1, "6d": 1},
    96: {"5f": -1, "6d": 1},
}


def _fill(n_electrons: int) -> dict[str, int]:
    """Electrons in each subshell when subshells fill in order."""
    occupation = {}
    for shell in SUBSHELLS:
        occupation[shell] = min(n_electrons, CAPACITY[shell[1]])
        n_electrons -= occupation[shell]
    return occupation


def electron_configuration(z: int) -> dict[str, int]:
    """Electrons in each subshell of the neutral atom in its ground state.

    Args:
        z: Atomic number, 0 (no electrons) to 100.
    """
    if not 0 <= z <= MAX_Z:
        raise ValueError(f"no electron configuration for atomic number {z}: 0 to {MAX_Z} are known")
    moved = EXCEPTIONS.get(z, {})
    return {shell: count + moved.get(shell, 0) for shell, count in _fill(z).items()}


def electron_table(max_z: int = MAX_Z) -> Tensor:
    """Electron configurations as fractions of full subshells.

    Args:
        max_z: Largest atomic number.

    Returns:
        ``[max_z + 1, 22]``: 18 subshells in filling order, then the s, p, d and f electrons outside the noble gas core.
    """
    rows = []
    for z in range(max_z + 1):
        shells = electron_configuration(z)
        core = _fill(max((gas for gas in NOBLE_GASES if gas < z), default=0))
        row = [count / CAPACITY[shell[1]] for shell, count in shells.items()]
        for kind, capacity in CAPACITY.items():
            outer = sum(count - core[shell] for shell, count in shells.items() if shell[1] == kind)
            row.append(outer / capacity)
        rows.append(row)
    return torch.tensor(rows, dtype=torch.float32)
