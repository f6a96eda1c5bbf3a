"""Transforms of PyTorch Geometric, item by item."""

from __future__ import annotations

import random as python_random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch

from hydramol.core.batch import Batch
from hydramol.core.randomness import Randomness
from hydramol.data.collate import collate

if TYPE_CHECKING:
    from torch_geometric.transforms import BaseTransform


def apply_pyg(transform: BaseTransform, batch: Batch, random: Randomness) -> Batch:
    """Applies a PyG transform to every item of a batch.

    PyG draws from the global generators; they are seeded with the item's own key around each call and put back after,
    so that the result depends on the item alone.

    Args:
        transform: Any transform of single samples that keeps to fields of the key table.
        batch: The items, in either layout; the result has the same.
        random: Where the seeds come from.
    """
    seeds = (random.keys(batch).cpu() & (2**63 - 1)).tolist()
    samples = []
    with _generators_put_back():
        for sample, seed in zip(batch.to_pyg(), seeds, strict=True):
            torch.default_generator.manual_seed(seed)  # of the CPU only: a GPU generator stays as it is
            python_random.seed(seed)
            np.random.seed(seed % 2**32)  # noqa: NPY002 - it is the global generator that PyG may read
            samples.append(transform(sample))
    changed = collate(samples)
    return Batch(changed.fields, changed.sizes, key=batch.key).to_layout(batch.layout)


@contextmanager
def _generators_put_back() -> Iterator[None]:
    states = torch.get_rng_state(), python_random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        torch.set_rng_state(states[0])
        python_random.setstate(states[1])
        np.random.set_state(states[2])  # noqa: NPY002
