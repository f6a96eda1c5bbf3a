"""Fixtures shared by the whole suite."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from hydramol.core.batch import Batch

ROOT = Path(__file__).resolve().parents[1]
os.environ.setdefault("WANDB_MODE", "offline")


def _shared(part: str) -> Path:
    folder = Path(os.environ.get("HYDRAMOL_SHARED", ROOT.parent / "shared")) / part
    if not folder.is_dir():
        pytest.skip(f"reference files not found: set HYDRAMOL_SHARED to the folder that holds {part}/")
    return folder


@pytest.fixture(scope="session")
def golden() -> Path:
    """Folder of numbers computed by the published implementations."""
    return _shared("golden")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of published data files."""
    return _shared("data")


@pytest.fixture(scope="session")
def root() -> Path:
    """The root of the source tree."""
    return ROOT


def random_molecules(sizes: list[int], seed: int = 0, dtype: torch.dtype = torch.float32) -> Batch:
    """A flat batch of random, well separated atoms."""
    rng = np.random.default_rng(seed)
    positions = []
    for size in sizes:
        placed: list[np.ndarray] = []
        while len(placed) < size:
            point = rng.uniform(-1, 1, 3) * (1.0 + 0.9 * size ** (1 / 3))
            if all(np.linalg.norm(point - other) > 0.9 for other in placed):
                placed.append(point)
        positions.append(np.array(placed))
    atoms = torch.from_numpy(rng.choice([1, 6, 7, 8, 9], size=sum(sizes)))
    return Batch(
        {
            "z": atoms,
            "pos": torch.from_numpy(np.concatenate(positions)).to(dtype),
            "item": torch.arange(len(sizes)),
            "view": torch.zeros(len(sizes), dtype=torch.int64),
        },
        {"atom": torch.tensor(sizes)},
    )


@pytest.fixture
def molecules() -> Batch:
    """Three random molecules of different sizes, flat."""
    return random_molecules([5, 9, 3])
