"""The embedded molecules as a data set."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from hydramol.core.errors import DataError
from hydramol.data import embedded
from hydramol.data.embedded_molecules import EmbeddedMolecules


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    n_atoms = rng.integers(3, 8, 50)
    molecules = {
        "z": rng.choice([1, 6, 8], n_atoms.sum()).astype(np.uint8),
        "pos": rng.normal(size=(n_atoms.sum(), 3)),
        "n_atoms": n_atoms,
        "smiles": [f"C{number}" for number in range(50)],
        "energy": rng.normal(size=50),
    }
    monkeypatch.setattr(embedded, "load", lambda name: molecules)
    return molecules


def test_splits_and_fields(small: dict[str, Any]) -> None:
    data = EmbeddedMolecules()
    assert {name: len(items) for name, items in data.splits.items()} == {"train": 40, "val": 5, "test": 5}
    item = int(data.splits["test"][2])
    assert data.names[item] == f"C{item}"
    assert float(data[item].energy) == small["energy"][item]
    np.testing.assert_array_equal(data.sizes["atom"], small["n_atoms"])


def test_heavy_atoms_are_limited(small: dict[str, Any]) -> None:
    data = EmbeddedMolecules(max_heavy_atoms=3, train_size=0.5, valid_size=0.25, test_size=None)
    owner = np.repeat(np.arange(50), small["n_atoms"])
    heavy = np.bincount(owner, weights=small["z"] > 1)
    assert list(data.names) == [f"C{number}" for number in np.flatnonzero(heavy <= 3)]
    batch = data.gather(torch.arange(len(data)))
    assert float(batch.sum((batch["z"] > 1).long()).max()) == 3
    with pytest.raises(DataError, match="leaves no item of 0"):
        EmbeddedMolecules(max_heavy_atoms=-1)


def test_the_shipped_file_if_it_is_built() -> None:
    try:
        embedded.path_of("molecules")
    except DataError:
        pytest.skip("the embedded molecules are not built yet: hydramol prepare data=molecules")
    data = EmbeddedMolecules(max_heavy_atoms=7)
    found = data.statistics(data.splits["train"])
    assert set(found["elements"].tolist()) <= {1, 6, 7, 8, 9}
    assert int(found["composition_counts"].sum()) == len(data.splits["train"])
