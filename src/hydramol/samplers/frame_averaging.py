"""A denoiser made equivariant when it is called: averaged over the frames of the structure."""

from __future__ import annotations

import torch
from torch import Tensor

from hydramol.core.batch import Batch
from hydramol.core.keys import key_of
from hydramol.core.protocols import Denoiser, Output
from hydramol.geometry.principal_frames import principal_frames
from hydramol.geometry.rotations import rotate_rows


class FrameAveraging:
    """Asks a denoiser four times, in each principal frame of the structure, and averages what it says.

    The result turns with the structure whatever the denoiser is (Puny et al., ICLR 2022, theorem 1) where the principal
    axes are certain. At symmetric tops, linear molecules and single atoms they are not (`principal_frames` says why);
    there it is an average over four frames that happen to be found, as good an answer as the denoiser's own. The four
    questions are one call on a batch four times as large.

    Args:
        denoise: What is asked.
    """

    def __init__(self, denoise: Denoiser) -> None:
        self.denoise = denoise

    def __call__(self, x: Tensor, t: Tensor | None, condition: Batch) -> Output:
        """The averaged prediction; a `Denoiser` itself.

        Args:
            x: ``[rows..., 3]`` in the layout of the condition.
            t: ``[items]`` steps, or None where the denoiser finds the time.
            condition: What is given of each molecule; its atoms' vectors are turned with it.
        """
        frames = principal_frames(x, condition)
        n_frames, n_items = frames.shape[:2]
        frames = frames.flatten(0, 1)
        # Copies of an item keep its number, so whatever is random about it is the same in each.
        items = torch.arange(n_items, device=condition.device).repeat(n_frames)
        copies = condition.select(items)
        into = frames.transpose(1, 2)
        copies = copies.with_fields(
            **{
                name: rotate_rows(value, into, copies)
                for name, value in copies.fields.items()
                if key_of(name).axis == "atom" and key_of(name).kind in ("point", "vector")
            }
        )
        rows = condition.with_fields(pos=x).select(items)["pos"]
        found = self.denoise(rotate_rows(rows, into, copies), None if t is None else t.repeat(n_frames), copies)

        def average(values: Tensor | None) -> Tensor | None:
            return None if values is None else values.reshape(n_frames, -1, *values.shape[1:]).mean(0)

        turned_back = rotate_rows(found.x, frames, copies).reshape(n_frames, *x.shape).mean(0)
        return Output(turned_back, average(found.time), average(found.logits))
