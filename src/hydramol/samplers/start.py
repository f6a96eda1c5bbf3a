"""Where a reverse process begins."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hydramol.core.batch import Batch
from hydramol.core.randomness import Randomness


def first_positions(start: Tensor | None, condition: Batch, transport: Any, random: Randomness) -> Tensor:
    """Centred positions to start from, in the layout of the condition, ``[rows..., 3]`` float64.

    Args:
        start: ``[rows..., 3]``, Angstrom, or None for a draw from the prior.
        condition: The molecules.
        transport: Whose prior is drawn from.
        random: Where that draw comes from; the stream "prior" below it.
    """
    if start is None:
        x: Tensor = transport.prior.draw(condition, random.for_stream("prior"))
    else:
        x = transport.prior.project(start.to(torch.float64), condition)
    return x
