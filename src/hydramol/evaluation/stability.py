"""Do atoms have the valence their element asks for, and does the molecule hang together?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from hydramol.core.batch import Batch
from hydramol.evaluation.bond_rules import EDM, BondRule


@dataclass(frozen=True)
class Stability:
    """Stability of a batch, padded: M is the most atoms.

    Attributes:
        bond_orders: ``[items, M, M]`` int64.
        valence: Sums of bond orders ``[items, M]``.
        mask: Real atoms ``[items, M]``.
        atom_stable: Whether the sum is allowed, ``[items, M]``; False on padding.
        molecule_stable: All atoms stable, ``[items]``.
        connected: The bond graph is one piece, ``[items]``.
    """

    bond_orders: Tensor
    valence: Tensor
    mask: Tensor
    atom_stable: Tensor
    molecule_stable: Tensor
    connected: Tensor

    def scores(self) -> dict[str, float]:
        """Fractions over all atoms and all molecules; nan for an empty batch."""
        return {
            "atom_stable": _fraction(self.atom_stable[self.mask]),
            "molecule_stable": _fraction(self.molecule_stable),
            "connected": _fraction(self.connected),
        }


def stability(batch: Batch, rule: BondRule = EDM, *, ignore_hydrogens: bool = False) -> Stability:
    """Bond orders and stability of every structure of a batch, by a rule on distances.

    Args:
        batch: Structures with ``z`` and ``pos`` (Angstrom), in either layout.
        rule: Bond lengths and valences.
        ignore_hydrogens: Count every hydrogen as stable, and ask only the other atoms to be one piece.
    """
    batch = batch.to_layout("padded")
    z, mask = batch["z"], batch.mask()
    pos = batch["pos"].double()
    orders = rule.orders(z, (pos[:, :, None] - pos[:, None]).norm(dim=-1))
    valence = orders.sum(-1)
    counted = mask & (z != 1) if ignore_hydrogens else mask
    atom_stable = (rule.stable(z, valence) | (mask & ~counted)) & mask
    return Stability(
        bond_orders=orders,
        valence=valence,
        mask=mask,
        atom_stable=atom_stable,
        molecule_stable=(atom_stable | ~mask).all(-1),
        connected=_connected(orders > 0, counted),
    )


def _connected(bonded: Tensor, mask: Tensor) -> Tensor:
    """Whether the masked atoms form one piece, ``[items]``: reachability by repeated squaring."""
    inside = mask[:, :, None] & mask[:, None, :]
    reach = (bonded & inside) | torch.eye(mask.shape[1], dtype=torch.bool, device=mask.device)
    for _ in range(math.ceil(math.log2(max(mask.shape[1], 2)))):
        reach = torch.bmm(reach.float(), reach.float()) > 0
    return (reach | ~inside).all(-1).all(-1)


def _fraction(values: Tensor) -> float:
    return float(values.double().mean()) if values.numel() else math.nan
