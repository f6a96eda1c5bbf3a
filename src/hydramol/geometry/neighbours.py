"""Ordered pairs of atoms inside molecules, for flat batches, without a loop over molecules."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from hydramol.core.batch import Batch


class Neighbours(NamedTuple):
    """Ordered pairs, sorted by the receiving atom, then by the sending one.

    Attributes:
        idx_i: Row of the atom that receives, ``[pairs]`` int64.
        idx_j: Row of the atom that sends, ``[pairs]`` int64.
        r_ij: Displacement ``pos[j] - pos[i]``, ``[pairs, 3]``, Angstrom; differentiable.
    """

    idx_i: Tensor
    idx_j: Tensor
    r_ij: Tensor


def all_pairs(sizes: Tensor) -> tuple[Tensor, Tensor]:
    """Every ordered pair of different rows of the same item.

    Args:
        sizes: Rows of each item, ``[items]`` int64; items of 0 or 1 rows give no pair.

    Returns:
        Receiving and sending rows, each ``[sum of n (n - 1)]`` int64, sorted by receiver, then sender.
    """
    first = torch.repeat_interleave(torch.cumsum(sizes, 0) - sizes, sizes)
    partners = torch.repeat_interleave(sizes - 1, sizes)
    rows = torch.arange(len(partners), device=sizes.device)
    idx_i = torch.repeat_interleave(rows, partners)
    # The k-th partner of a row is the k-th row of its item with the row itself left out.
    before = torch.cumsum(partners, 0) - partners
    k = torch.arange(len(idx_i), device=sizes.device) - before[idx_i]
    first_of_pair = first[idx_i]
    idx_j = first_of_pair + k + (k >= idx_i - first_of_pair)
    return idx_i, idx_j


def neighbours(batch: Batch, cutoff: float | None = None) -> Neighbours:
    """Pairs of atoms of the same molecule.

    Every pair of a molecule is looked at, which for small molecules is quicker than cell lists; memory grows with the
    sum of squared sizes.

    Args:
        batch: Flat batch with ``pos``.
        cutoff: Pairs at this distance (Angstrom) or beyond are left out; None keeps all.

    Raises:
        ValueError: The batch is padded, or the cutoff is not positive.
    """
    if batch.layout != "flat":
        raise ValueError("neighbour lists need a flat batch: call batch.to_layout('flat') first")
    if cutoff is not None and not cutoff > 0:
        raise ValueError(f"cutoff={cutoff} must be positive")
    pos = batch["pos"]
    idx_i, idx_j = all_pairs(batch.sizes["atom"])
    if cutoff is not None:
        with torch.no_grad():
            near = (pos.index_select(0, idx_j) - pos.index_select(0, idx_i)).square().sum(-1) < cutoff**2
        idx_i, idx_j = idx_i[near], idx_j[near]
    # index_select, not pos[idx]: its backward is a plain index_add, many times quicker on a CPU.
    return Neighbours(idx_i, idx_j, pos.index_select(0, idx_j) - pos.index_select(0, idx_i))
