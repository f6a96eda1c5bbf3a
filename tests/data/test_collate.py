"""Joining samples of any origin."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data

from hydramol.core.batch import Batch
from hydramol.core.errors import DataError
from hydramol.data.collate import collate


def sample(n: int) -> Data:
    return Data(z=torch.full((n,), 6), pos=torch.randn(n, 3), energy=float(n), item=torch.tensor([n]), num_nodes=n)


def test_inverse_of_to_pyg(molecules: Batch) -> None:
    again = collate(molecules.to_pyg())
    assert again.fields.keys() == molecules.fields.keys()
    for name in molecules.fields:
        assert torch.equal(again[name], molecules[name])
    assert torch.equal(again.sizes["atom"], molecules.sizes["atom"])


def test_numbers_of_an_item_may_be_scalars() -> None:
    batch = collate([sample(2), sample(4)])
    assert batch["energy"].tolist() == [2.0, 4.0]
    assert batch.sizes["atom"].tolist() == [2, 4]


def test_keys_choose_fields() -> None:
    samples = [sample(2), sample(1)]
    for one in samples:
        one.smiles = "C"
    assert set(collate(samples, keys=["z", "pos"]).fields) == {"z", "pos"}
    with pytest.raises(DataError, match=r"field 'smiles' is not in the key table \(add a line for it"):
        collate(samples)


def test_wrong_samples_are_named() -> None:
    with pytest.raises(DataError, match="no samples"):
        collate([])
    with pytest.raises(DataError, match="sample 1 has no energy"):
        collate([sample(2), Data(z=torch.ones(1), pos=torch.ones(1, 3), item=torch.tensor([0]))])
    with pytest.raises(DataError, match=r"pos of sample 0 has shape \(2, 2\)"):
        collate([Data(pos=torch.zeros(2, 2))])
    with pytest.raises(DataError, match="z of sample 1 has 3 rows, other fields of axis 'atom' have 2"):
        collate([sample(2), Data(z=torch.ones(3), pos=torch.ones(2, 3), energy=1.0, item=torch.tensor([0]))])
    with pytest.raises(DataError, match="no field with rows"):
        collate([Data(energy=torch.tensor([1.0]))])
