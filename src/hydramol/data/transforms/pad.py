"""Padding a batch."""

from __future__ import annotations

from hydramol.core.batch import Batch
from hydramol.core.randomness import Randomness


class Pad:
    """Lays a flat batch out as ``[items, most rows, ...]``, by one vectorised scatter a field.

    Args:
        multiple_of: Rounds the padded length up, which bounds the number of distinct shapes (torch.compile).
    """

    random = False

    def __init__(self, multiple_of: int = 1) -> None:
        if multiple_of < 1:
            raise ValueError(f"transform.batch.pad.multiple_of={multiple_of}: at least 1")
        self.multiple_of = multiple_of

    def __call__(self, batch: Batch, random: Randomness) -> Batch:
        """Pads every field that has rows."""
        if self.multiple_of == 1:
            return batch.to_layout("padded")
        longest = max(int(size.max()) for size in batch.sizes.values())
        return batch.to_layout("padded", -(-longest // self.multiple_of) * self.multiple_of)
