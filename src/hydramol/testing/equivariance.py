"""Checks that a prediction turns with its molecule, follows the order of atoms and ignores its batch mates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from hydramol.core.batch import Batch
from hydramol.core.keys import key_of

Predict = Callable[[Batch, Tensor | None], Tensor]
"""``(batch, time) -> rows`` in the layout of the batch (axis "atom"), or ``-> [items, ...]`` (axis "graph")."""

Axis = Literal["atom", "graph"]


def orthogonal_matrix(seed: int, proper: bool = True, dtype: torch.dtype = torch.float64) -> Tensor:
    """A uniformly random rotation (proper) or rotation with reflection, ``[3, 3]``."""
    generator = torch.Generator().manual_seed(seed)
    q, r = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))
    q = q * r.diagonal().sign()
    if bool(torch.linalg.det(q) > 0) != proper:
        q = -q
    matrix: Tensor = q.to(dtype)
    return matrix


def rotate(batch: Batch, matrix: Tensor) -> Batch:
    """Turns every point and vector of a batch about the origin, as the key table says.

    Args:
        batch: In either layout.
        matrix: ``[3, 3]``, orthogonal.
    """
    turned = {
        name: value @ matrix.to(value).T
        for name, value in batch.fields.items()
        if key_of(name).kind in ("point", "vector")
    }
    return batch.with_fields(**turned)


def check_rotation_equivariance(
    predict: Predict,
    batch: Batch,
    time: Tensor | None = None,
    *,
    kind: Literal["vector", "invariant"] = "vector",
    axis: Axis = "atom",
    reflections: bool = True,
    tolerance: float = 1e-5,
    seed: int = 0,
) -> float:
    """Asserts that turning the molecules turns a vector, and leaves an invariant.

    Args:
        predict: What is checked; vectors have their components in the axis after the rows.
        batch: In the layout that predict takes.
        time: Handed to predict, ``[items]``.
        kind: What the prediction is.
        axis: "atom" if it has a row for each atom, "graph" if one for each item.
        reflections: Whether reflections are tried too.
        tolerance: Largest difference allowed, see `difference`.
        seed: Of the rotations.

    Returns:
        The largest difference found.
    """
    before = _rows(predict(batch, time), batch, axis)
    errors = []
    for number in range(4):
        matrix = orthogonal_matrix(seed + number, proper=not (reflections and number % 2))
        expected = torch.einsum("ij,rj...->ri...", matrix.to(before), before) if kind == "vector" else before
        after = _rows(predict(rotate(batch, matrix), time), batch, axis)
        errors.append(_assert_small(difference(after, expected), tolerance, f"{kind} after a rotation"))
    return max(errors)


def check_permutation_equivariance(
    predict: Predict,
    batch: Batch,
    time: Tensor | None = None,
    *,
    axis: Axis = "atom",
    tolerance: float = 1e-5,
    seed: int = 0,
) -> float:
    """Asserts that shuffling the atoms of each molecule shuffles rows, and leaves what belongs to a whole item.

    Args:
        predict: What is checked.
        batch: In the layout that predict takes.
        time: Handed to predict, ``[items]``.
        axis: "atom" if the prediction has a row for each atom, "graph" if one for each item.
        tolerance: Largest difference allowed, see `difference`.
        seed: Of the order.

    Returns:
        The largest difference found.
    """
    flat = batch.to_layout("flat")
    item = flat.index()
    shuffled = torch.rand(len(item), generator=torch.Generator().manual_seed(seed)).to(item.device)
    order = torch.argsort(item + shuffled.to(torch.float64))
    fields = {name: value[order] if key_of(name).axis == "atom" else value for name, value in flat.fields.items()}
    before = _rows(predict(batch, time), batch, axis)
    permuted = replace(flat, fields=fields).to_layout(batch.layout)
    after = _rows(predict(permuted, time), permuted, axis)
    return _assert_small(
        difference(after, before[order] if axis == "atom" else before), tolerance, "another order of the atoms"
    )


def check_batch_independence(
    predict: Predict, batch: Batch, time: Tensor | None = None, *, axis: Axis = "atom", tolerance: float = 1e-5
) -> float:
    """Asserts that an item alone is predicted as it is among others.

    Args:
        predict: What is checked.
        batch: Several items, in the layout that predict takes.
        time: Handed to predict, ``[items]``.
        axis: "atom" if the prediction has a row for each atom, "graph" if one for each item.
        tolerance: Largest difference allowed, see `difference`.

    Returns:
        The largest difference found.
    """
    alone = []
    for number in range(len(batch)):
        items = torch.tensor([number], device=batch.device)
        # Through the flat layout, so that a padded item alone has no padding left.
        one = batch.to_layout("flat").select(items).to_layout(batch.layout)
        alone.append(_rows(predict(one, None if time is None else time[items]), one, axis))
    together = _rows(predict(batch, time), batch, axis)
    return _assert_small(difference(torch.cat(alone), together), tolerance, "an item alone and in a batch")


def difference(a: Tensor, b: Tensor) -> float:
    """Largest difference over the largest value of b; values all below 0.01 are measured against 0.01."""
    if a.shape != b.shape:
        raise AssertionError(f"shapes differ: {tuple(a.shape)} and {tuple(b.shape)}")
    if not a.numel():
        return 0.0
    a, b = a.detach(), b.detach()
    return float((a - b).abs().max() / b.abs().max().clamp(min=0.01))


def _rows(output: Tensor, batch: Batch, axis: Axis) -> Tensor:
    return batch.rows(output) if axis == "atom" else output


def _assert_small(error: float, tolerance: float, what: str) -> float:
    # This way round, NaN fails.
    if not error <= tolerance:
        raise AssertionError(f"{what}: differs by {error:.2e}, allowed {tolerance:.0e}")
    return error
