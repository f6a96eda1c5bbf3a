"""What becomes of a net's raw noise."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from hydramol.core.batch import Batch
from hydramol.geometry.centring import centre
from hydramol.geometry.norms import safe_norm

Postprocess = Literal["none", "clip_norm", "centre"]
POSTPROCESS: tuple[Postprocess, ...] = ("none", "clip_norm", "centre")


def postprocess(noise: Tensor, batch: Batch, kind: Postprocess, max_norm: float) -> Tensor:
    """Applies the chosen treatment.

    Args:
        noise: ``[rows..., 3]`` in the layout of the batch.
        batch: The items.
        kind: "none"; "clip_norm" shortens the vector of each atom to ``max_norm``; "centre" removes the mean of each
            molecule, which true noise does not have.
        max_norm: Longest vector under "clip_norm".
    """
    if kind == "centre":
        return centre(noise, batch)
    if kind == "clip_norm":
        return noise * (max_norm / safe_norm(noise).clamp(min=max_norm))[..., None]
    return noise
