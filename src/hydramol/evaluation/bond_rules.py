"""Bonds and allowed valences from distances alone: the look-up rule of EDM (Hoogeboom et al. 2022, arXiv:2203.17003).

Two atoms are bonded with order k if they are closer than the typical length of a k-fold bond of their elements plus a
margin. Lengths in pm; ``.`` where the elements form no such bond. A score says nothing without the name of its rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from ase.data import atomic_numbers as _NUMBERS
from ase.data import chemical_symbols
from torch import Tensor

_LARGEST_Z = 53

_SINGLE = """
       H    B    C    N    O    F   Si    P    S   Cl   As   Br    I
 H    74
 B   119    .
 C   109    .  154
 N   101    .  147  145
 O    96    .  143  140  148
 F    92    .  135  136  142  142
 Si  148    .  185    .  163  160  233
 P   144    .  184  177  163  156    .  221
 S   134    .  182  168  151  158  200  210  204
 Cl  127  175  177  175  164  166  202  203  207  199
 As  152    .    .    .    .    .    .    .    .    .    .
 Br  141    .  194  214  172  178  215  222  225  214    .  228
 I   161    .  214  222  194  187  243    .  234    .    .    .  266
"""
_DOUBLE = """
       C    N    O    P    S
 C   134
 N   129  125
 O   120  121  121
 P     .    .  150    .
 S   160    .    .  186    .
"""
_TRIPLE = """
       C    N    O
 C   120
 N   116  110
 O   113    .    .
"""


def _lengths(table: str) -> dict[tuple[str, str], float]:
    """Reads a lower triangle of lengths in pm."""
    header, *lines = table.strip("\n").splitlines()
    columns = header.split()
    lengths = {}
    for line in lines:
        row, *values = line.split()
        pairs = zip(columns, values, strict=False)  # a line ends at the diagonal
        lengths.update({(row, column): float(value) for column, value in pairs if value != "."})
    return lengths


@dataclass(frozen=True)
class BondRule:
    """Bond orders from distances.

    Attributes:
        name: What to write beside every score of this rule.
        lengths: Typical lengths of single, double, triple bonds by pair of element symbols, pm.
        margins: Tolerance of each order, pm.
        valences: Allowed sums of bond orders by element symbol.
    """

    name: str
    lengths: tuple[Mapping[tuple[str, str], float], ...]
    margins: tuple[float, ...]
    valences: Mapping[str, tuple[int, ...]]

    @cached_property
    def thresholds(self) -> Tensor:
        """Largest distance of each order, ``[orders, Z, Z]`` float64, Angstrom; -inf where there is no such bond."""
        n = _LARGEST_Z + 1
        table = torch.full((len(self.lengths), n, n), -torch.inf, dtype=torch.float64)
        for order, (lengths, margin) in enumerate(zip(self.lengths, self.margins, strict=True)):
            for (a, b), length in lengths.items():
                first, second = _NUMBERS[a], _NUMBERS[b]
                table[order, [first, second], [second, first]] = (length + margin) / 100
        return table

    @cached_property
    def allowed(self) -> Tensor:
        """Whether an element may have a sum of bond orders, ``[Z, sum]`` bool; larger sums are not allowed."""
        n_sums = max(max(sums) for sums in self.valences.values()) + 2
        table = torch.zeros(_LARGEST_Z + 1, n_sums, dtype=torch.bool)
        for symbol, sums in self.valences.items():
            table[_NUMBERS[symbol], list(sums)] = True
        return table

    def orders(self, z: Tensor, distances: Tensor) -> Tensor:
        """Bond orders of all pairs.

        Args:
            z: Atomic numbers ``[..., M]``; 0 (padding) and elements the rule does not know form no bonds.
            distances: ``[..., M, M]``, Angstrom.

        Returns:
            ``[..., M, M]`` int64, 0 on the diagonal.
        """
        thresholds = self.thresholds.to(z.device)
        known = self._known(z)
        limits = thresholds[:, known[..., :, None], known[..., None, :]]
        # Every pair's limits fall with the order, so counting those that hold gives the highest.
        orders = (distances < limits).sum(0)
        return orders * ~torch.eye(z.shape[-1], dtype=torch.bool, device=z.device)

    def stable(self, z: Tensor, valence: Tensor) -> Tensor:
        """Whether atoms have an allowed sum of bond orders.

        Args:
            z: Atomic numbers ``[...]``.
            valence: Sums of bond orders ``[...]``.
        """
        allowed = self.allowed.to(z.device)
        return allowed[self._known(z), valence.clamp(max=allowed.shape[1] - 1)]

    def _known(self, z: Tensor) -> Tensor:
        return torch.where(z < self.thresholds.shape[1], z, 0)


EDM = BondRule(
    name="EDM",
    lengths=(_lengths(_SINGLE), _lengths(_DOUBLE), _lengths(_TRIPLE)),
    margins=(10.0, 5.0, 3.0),
    valences={
        "H": (1,), "B": (3,), "C": (4,), "N": (3,), "O": (2,), "F": (1,), "Si": (4,),
        "P": (3, 5), "S": (4,), "Cl": (1,), "As": (3,), "Br": (1,), "I": (1,),
    },
)  # fmt: skip
"""The rule behind the QM9 scores that EDM and its followers print."""


def symbol(number: int) -> str:
    """Element symbol of an atomic number; X for 0."""
    return str(chemical_symbols[number])
