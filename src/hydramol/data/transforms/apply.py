"""Running an ordered mapping of transforms."""

from __future__ import annotations

from collections.abc import Mapping

from torch_geometric.transforms import BaseTransform

from hydramol.core.batch import Batch
from hydramol.core.protocols import Transform
from hydramol.core.randomness import Randomness
from hydramol.data.transforms.pyg import apply_pyg


def apply_transforms(
    batch: Batch, transforms: Mapping[str, Transform | BaseTransform | None], random: Randomness
) -> Batch:
    """Applies transforms in their order.

    Args:
        batch: The items.
        transforms: By name; None is switched off. Each draws from a stream of its own name, so that switching one off
            leaves the numbers of the others as they are.
        random: Where the numbers come from.
    """
    for name, transform in transforms.items():
        if isinstance(transform, BaseTransform):
            batch = apply_pyg(transform, batch, random.for_stream(name))
        elif transform is not None:
            batch = transform(batch, random.for_stream(name))
    return batch
