r"""Triangular attention: the pair (x, y) gathers from the paths x - a - y over every third atom a.

For each head of d channels (Bergen, O'Donnell & Bahdanau, NeurIPS 2021)

.. math::
    s_{xay} = q_{xa} \cdot k_{ay} / \sqrt d, \quad p = \mathrm{softmax}_a(s), \quad
    o_{xy} = \sum_a p_{xay} \, v_{xa} \odot w_{ay}.

Written out, ``v_xa * w_ay`` is a tensor of items x atoms^3 x width: gigabytes for a batch of small molecules. The lean
form here never makes it. Scores are batched matrix products. The values cannot be one, because p, v and w each share
only two of the three atoms; they are summed over a, one a at a time, in a buffer no larger than the pair features. In
that loop items and heads lie innermost in memory: they are the one axis along which no factor is constant, hence the
one along which the processor's vector units run at full length. The backward pass works alike and makes p again, so
that nothing cubic is kept between the passes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

# Elements of the buffer of partial sums: it should stay in a processor's cache.
_BUFFER = 1 << 20


def dense_attention(qkvw: Tensor, mask: Tensor | None = None) -> Tensor:
    """The formula as it stands, with the tensor of all triples: for checks and for higher derivatives.

    Args:
        qkvw: Queries, keys, values of the first and of the second pair, ``[items, atoms, atoms, 4, heads, d]``.
        mask: True on real atoms, ``[items, atoms]``; None where all are.

    Returns:
        ``[items, atoms, atoms, heads, d]``; rows of padded atoms mean nothing.
    """
    query, key, first, second = qkvw.unbind(3)
    scores = torch.einsum("bxahd,bayhd->bxayh", query, key) / math.sqrt(query.shape[-1])
    if mask is not None:
        scores = scores.masked_fill(~mask[:, None, :, None, None], torch.finfo(scores.dtype).min)
    weights = scores.softmax(dim=2)
    values = first[:, :, :, None] * second[:, None]
    return torch.einsum("bxayh,bxayhd->bxyhd", weights, values)


@torch.library.custom_op("hydramol::triangular_attention", mutates_args=())
def lean_attention(qkvw: Tensor, mask: Tensor | None = None) -> Tensor:
    """Equal to `dense_attention` in value and gradient, with memory as the pairs; differentiable once.

    Args:
        qkvw: ``[items, atoms, atoms, 4, heads, d]``.
        mask: True on real atoms, ``[items, atoms]``; None where all are.

    Returns:
        ``[items, atoms, atoms, heads, d]``; rows of padded atoms mean nothing.
    """
    items, _, _, _, heads, _ = qkvw.shape
    weights = _weights(qkvw, mask)  # [a, x, y, lanes]
    first = _to_lanes(qkvw[:, :, :, 2])  # [x, a, d, lanes]
    second = _to_lanes(qkvw[:, :, :, 3])  # [a, y, d, lanes]
    return _from_lanes(_contract(weights, first.transpose(0, 1), second), items, heads).contiguous()


@torch.library.custom_op("hydramol::triangular_attention_backward", mutates_args=())
def _lean_backward(qkvw: Tensor, mask: Tensor | None, grad: Tensor) -> Tensor:
    items, atoms, _, _, heads, channels = qkvw.shape
    weights = _weights(qkvw, mask)  # [a, x, y, lanes]
    first = _to_lanes(qkvw[:, :, :, 2])  # [x, a, d, lanes]
    second = _to_lanes(qkvw[:, :, :, 3])  # [a, y, d, lanes]
    grad = _to_lanes(grad)  # [x, y, d, lanes]
    out = torch.empty_like(qkvw)

    # The gradients of v and w have the form of the output itself, summed over y and over x.
    grad_first = _contract(weights.permute(2, 1, 0, 3), grad.transpose(0, 1), second.transpose(0, 1))
    out[:, :, :, 2] = _from_lanes(grad_first, items, heads)
    grad_second = _contract(weights.transpose(0, 1), first, grad)
    out[:, :, :, 3] = _from_lanes(grad_second, items, heads)
    del grad_first, grad_second

    grad_scores = _softmax_backward(weights, _grad_weights(grad, first, second)).mul_(1 / math.sqrt(channels))
    grad_scores = grad_scores.permute(3, 0, 1, 2).reshape(-1, atoms, atoms)  # [items heads a, x, y]
    query, key = _by_middle_atom(qkvw)
    grad_query = torch.bmm(grad_scores, key).unflatten(0, (items, heads, atoms))  # [items, heads, a, x, d]
    out[:, :, :, 0] = grad_query.permute(0, 3, 2, 1, 4)
    grad_key = torch.bmm(grad_scores.transpose(1, 2), query).unflatten(0, (items, heads, atoms))  # [..., a, y, d]
    out[:, :, :, 1] = grad_key.permute(0, 2, 3, 1, 4)
    return out


def _by_middle_atom(qkvw: Tensor) -> tuple[Tensor, Tensor]:
    """Queries ``[items heads a, x, d]`` and keys ``[items heads a, y, d]``."""
    atoms, channels = qkvw.shape[1], qkvw.shape[-1]
    query = qkvw[:, :, :, 0].permute(0, 3, 2, 1, 4).reshape(-1, atoms, channels)
    key = qkvw[:, :, :, 1].permute(0, 3, 1, 2, 4).reshape(-1, atoms, channels)
    return query, key


def _weights(qkvw: Tensor, mask: Tensor | None) -> Tensor:
    """Attention weights ``[a, x, y, lanes]``."""
    items, atoms, _, _, heads, channels = qkvw.shape
    query, key = _by_middle_atom(qkvw)
    scores = torch.bmm(query, key.transpose(1, 2)).view(items, heads, atoms, atoms * atoms)
    scores.mul_(1 / math.sqrt(channels))
    if mask is not None:
        scores.masked_fill_(~mask[:, None, :, None], torch.finfo(scores.dtype).min)
    return scores.softmax(dim=2).view(-1, atoms, atoms, atoms).permute(1, 2, 3, 0).contiguous()


def _to_lanes(pairs: Tensor) -> Tensor:
    """``[items, x, y, heads, d]`` to ``[x, y, d, items heads]``."""
    items, atoms, _, heads, channels = pairs.shape
    return pairs.permute(1, 2, 4, 0, 3).reshape(atoms, atoms, channels, items * heads)


def _from_lanes(pairs: Tensor, items: int, heads: int) -> Tensor:
    """Undoes `_to_lanes`; a view."""
    return pairs.unflatten(-1, (items, heads)).permute(3, 0, 1, 4, 2)


def _blocks(atoms: int, row: int) -> list[slice]:
    """Cuts rows into blocks whose buffer fits into cache; a row has ``row`` elements."""
    size = max(1, _BUFFER // max(row, 1))
    return [slice(start, start + size) for start in range(0, atoms, size)]


def _contract(weights: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """``out[r, c] = sum_k weights[k, r, c] rows[k, r] columns[k, c]``, channel by channel and lane by lane.

    Args:
        weights: ``[k, r, c, lanes]``.
        rows: ``[k, r, d, lanes]``.
        columns: ``[k, c, d, lanes]``.

    Returns:
        ``[r, c, d, lanes]``.
    """
    atoms, _, channels, lanes = columns.shape
    out = columns.new_zeros(atoms, atoms, channels, lanes)
    for block in _blocks(atoms, atoms * channels * lanes):
        total = out[block]
        product = torch.empty_like(total)
        for k in range(atoms):
            torch.mul(weights[k, block, :, None], columns[k], out=product)
            total.addcmul_(product, rows[k, block, None])
    return out


def _grad_weights(grad: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """``[a, x, y, lanes]``: sum over channels of ``grad[x, y] first[x, a] second[a, y]``."""
    atoms, _, channels, lanes = grad.shape
    out = grad.new_empty(atoms, atoms, atoms, lanes)
    for block in _blocks(atoms, atoms * channels * lanes):
        product = torch.empty_like(grad[block])
        for a in range(atoms):
            torch.mul(grad[block], second[a], out=product).mul_(first[block, a, None])
            torch.sum(product, dim=2, out=out[a, block])
    return out


def _softmax_backward(weights: Tensor, grad: Tensor) -> Tensor:
    """Gradient of the scores from that of the weights, in place; softmax over the leading axis."""
    grad.mul_(weights)
    return grad.addcmul_(weights, grad.sum(dim=0), value=-1)


@lean_attention.register_fake
def _(qkvw: Tensor, mask: Tensor | None = None) -> Tensor:
    items, atoms, _, _, heads, channels = qkvw.shape
    return qkvw.new_empty(items, atoms, atoms, heads, channels)


@_lean_backward.register_fake
def _(qkvw: Tensor, mask: Tensor | None, grad: Tensor) -> Tensor:
    return torch.empty_like(qkvw)


def _save(ctx: Any, inputs: tuple[Tensor, Tensor | None], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
    return _lean_backward(*ctx.saved_tensors, grad), None


lean_attention.register_autograd(_backward, setup_context=_save)

FORMS: dict[str, Callable[[Tensor, Tensor | None], Tensor]] = {"lean": lean_attention, "dense": dense_attention}


class TriangularAttention(nn.Module):
    """Triangular attention with projections, without biases.

    Args:
        width: Features of a pair.
        n_heads: Heads; they divide the width.
        form: "lean", or "dense" for the formula as it stands (cubic memory, any derivative).
    """

    def __init__(self, width: int, n_heads: int, form: str = "lean") -> None:
        super().__init__()
        if width % n_heads:
            raise ValueError(f"width={width} is not divisible by n_heads={n_heads}")
        if form not in FORMS:
            raise ValueError(f"attention={form!r}: one of {', '.join(FORMS)}")
        self.n_heads = n_heads
        self.form = form
        self.project = nn.Linear(width, 4 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, pairs: Tensor, mask: Tensor | None = None) -> Tensor:
        """Updates pair features.

        Args:
            pairs: ``[items, atoms, atoms, width]``.
            mask: True on real atoms, ``[items, atoms]``; None where all are.

        Returns:
            ``[items, atoms, atoms, width]``.
        """
        qkvw = self.project(pairs)
        # Under autocast the projections are bfloat16; sums over atoms need float32.
        qkvw = qkvw.to(torch.promote_types(qkvw.dtype, torch.float32)).unflatten(-1, (4, self.n_heads, -1))
        return self.out(FORMS[self.form](qkvw, mask).flatten(-2))
