"""The check that padding changes no value and no gradient of real rows."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from hydramol.core.batch import Batch
from hydramol.core.keys import key_of
from hydramol.testing.equivariance import Axis, Predict, _assert_small, _rows, difference


def check_padding(
    predict: Predict,
    batch: Batch,
    time: Tensor | None = None,
    *,
    parameters: Iterable[nn.Parameter] = (),
    axis: Axis = "atom",
    extra: int = 5,
    junk: float | None = 3.0,
    tolerance: float = 1e-5,
) -> float:
    """Asserts that more padding, and junk in it, changes neither predictions nor gradients.

    Args:
        predict: What is checked; takes padded batches.
        batch: Items of different sizes, in either layout, with ``pos``.
        time: Handed to predict, ``[items]``.
        parameters: Whose gradients are compared, besides those of the positions.
        axis: "atom" if the prediction has a row for each atom, "graph" if one for each item.
        extra: Rows of padding added to the longest item.
        junk: What padded positions hold in the wider batch; None leaves them as padded.
        tolerance: Largest difference allowed, see `hydramol.testing.equivariance.difference`.

    Returns:
        The largest difference found.
    """
    flat = batch.to_layout("flat")
    longest = int(flat.sizes["atom"].max())
    parameters = list(parameters)
    tight = _value_and_gradients(predict, flat.to_layout("padded"), time, parameters, axis)
    wide_batch = flat.to_layout("padded", longest + extra)
    if junk is not None:
        real = wide_batch.mask()[..., None]
        points = {
            name: torch.where(real, value, junk)
            for name, value in wide_batch.fields.items()
            if key_of(name).axis == "atom" and key_of(name).kind in ("point", "vector")
        }
        wide_batch = wide_batch.with_fields(**points)
    wide = _value_and_gradients(predict, wide_batch, time, parameters, axis)
    names = ["value", "gradient of pos", *(f"gradient of parameter {i}" for i in range(len(parameters)))]
    return max(
        _assert_small(difference(a, b), tolerance, f"{name} with {extra} rows more of padding")
        for name, a, b in zip(names, wide, tight, strict=True)
    )


def _value_and_gradients(
    predict: Predict, batch: Batch, time: Tensor | None, parameters: list[nn.Parameter], axis: Axis
) -> list[Tensor]:
    pos = batch["pos"].detach().requires_grad_()
    value = _rows(predict(batch.with_fields(pos=pos), time), batch, axis)
    # Weights that differ between rows and components, so that no gradient cancels by symmetry.
    weights = torch.cos(torch.arange(value.numel(), device=value.device, dtype=value.dtype)).reshape(value.shape)
    grads = torch.autograd.grad((weights * value).sum(), [pos, *parameters], allow_unused=True)
    filled = [
        torch.zeros_like(leaf) if grad is None else grad for leaf, grad in zip([pos, *parameters], grads, strict=True)
    ]
    return [value.detach(), batch.rows(filled[0]), *filled[1:]]
