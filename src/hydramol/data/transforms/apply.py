"""Running an ordered mapping of transforms."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeGuard

from hydramol.core.batch import Batch
from hydramol.core.protocols import Transform
from hydramol.core.randomness import Randomness
from hydramol.data.transforms.pyg import apply_pyg

if TYPE_CHECKING:
    from torch_geometric.transforms import BaseTransform


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
        if transform is not None and is_pyg(transform):
            batch = apply_pyg(transform, batch, random.for_stream(name))
        elif transform is not None:
            batch = transform(batch, random.for_stream(name))
    return batch


def is_pyg(transform: Transform | BaseTransform) -> TypeGuard[BaseTransform]:
    """Whether a transform is one of PyG's; whoever made one has imported PyG, which takes seconds."""
    pyg = sys.modules.get("torch_geometric.transforms")
    return pyg is not None and isinstance(transform, pyg.BaseTransform)


def is_random(transform: Transform | BaseTransform) -> bool:
    """Whether a transform draws anything: ours say so, PyG's carry it in their names."""
    if is_pyg(transform):
        return type(transform).__name__.startswith("Random")
    return bool(getattr(transform, "random", False))
