"""Frames that a structure itself defines: its principal axes."""

from __future__ import annotations

import torch
from torch import Tensor

from hydramol.core.batch import Batch
from hydramol.geometry.centring import centre

# Signs of the first two axes; the third follows, as the frame is right-handed.
_SIGNS = ((1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0))


def principal_frames(x: Tensor, batch: Batch) -> Tensor:
    """The four right-handed frames of the principal axes of each structure (Puny et al., ICLR 2022, section 3).

    Axes have no sign, so there are four such frames. As a set they turn with the structure where the spreads along the
    three axes differ, as they do in planes too (the spread across is 0, the others are not). Where two or three agree,
    the axes between them are any: symmetric tops and linear molecules have one certain axis, single atoms none. The
    frames are then still proper rotations, but do not turn with the structure. Close to such shapes axes move fast.

    Args:
        x: ``[rows..., 3]`` in the layout of the batch; need not be centred.
        batch: The items.

    Returns:
        ``[4, items, 3, 3]`` float64; columns are the axes, by growing spread. No gradient.
    """
    with torch.no_grad():
        rows = centre(x.to(torch.float64), batch)
        spread = batch.sum(rows[..., :, None] * rows[..., None, :])
        # LAPACK refuses a batch with a single non-finite matrix; a broken structure must only spoil its own result.
        finite = spread.isfinite().all(-1).all(-1)[:, None, None]
        axes = torch.linalg.eigh(torch.where(finite, spread, 0)).eigenvectors
        frames = []
        for first_sign, second_sign in _SIGNS:
            first, second = first_sign * axes[..., 0], second_sign * axes[..., 1]
            frames.append(torch.stack([first, second, torch.linalg.cross(first, second)], dim=-1))
        return torch.stack(frames)
