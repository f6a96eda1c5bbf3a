"""Turning everything in a batch that turns with its molecule."""

from __future__ import annotations

from torch import Tensor

from hydramol.core.batch import Batch
from hydramol.core.keys import key_of


def moving_fields(batch: Batch) -> dict[str, str]:
    """Names of the fields that turn with their molecule, with their kind: "point", "vector" or "frame"."""
    kinds = {name: key_of(name).kind for name in batch.fields}
    return {name: kind for name, kind in kinds.items() if kind in ("point", "vector", "frame")}


def turn(batch: Batch, matrices: Tensor) -> Batch:
    """Turns every point, vector and frame about the origin, so that no label is left behind.

    Args:
        batch: In either layout.
        matrices: Orthogonal matrix of each item, ``[items, 3, 3]``; products are formed in its precision.
    """
    turned = {}
    for name, kind in moving_fields(batch).items():
        value, axis = batch[name], key_of(name).axis
        rows = matrices if axis == "graph" else batch.spread(matrices, axis)
        if kind == "frame":  # its columns are vectors
            rows = rows.reshape(rows.shape[:-2] + (1,) * (value.dim() - rows.dim()) + (3, 3))
            turned[name] = (rows @ value.to(matrices.dtype)).to(value.dtype)
        else:
            vectors = value.reshape(*rows.shape[:-2], -1, 3).to(matrices.dtype)
            turned[name] = (vectors @ rows.transpose(-1, -2)).to(value.dtype).reshape(value.shape)
    return batch.with_fields(**turned)
