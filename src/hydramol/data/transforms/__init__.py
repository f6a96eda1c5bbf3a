"""Transforms of items (center, rotate, flip, any of PyG's) and of batches (pad)."""

from hydramol.data.transforms.apply import apply_transforms, is_random
from hydramol.data.transforms.center import Center
from hydramol.data.transforms.flip import Flip
from hydramol.data.transforms.pad import Pad
from hydramol.data.transforms.pyg import apply_pyg
from hydramol.data.transforms.rotate import Rotate

__all__ = ["Center", "Flip", "Pad", "Rotate", "apply_pyg", "apply_transforms", "is_random"]
