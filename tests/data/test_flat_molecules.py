"""Molecules in flat memory: gathers, statistics, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hydramol.core.errors import DataError
from hydramol.data.collate import collate
from hydramol.data.flat_molecules import FlatMolecules

WATER = ([8, 1, 1], [[0.0, 0.0, 0.1], [0.0, 0.8, -0.5], [0.0, -0.8, -0.5]])
HCN = ([1, 6, 7], [[0.0, 0.0, -1.6], [0.0, 0.0, -0.5], [0.0, 0.0, 0.6]])
METHANE = ([6, 1, 1, 1, 1], [[0, 0, 0], [0.6, 0.6, 0.6], [-0.6, -0.6, 0.6], [-0.6, 0.6, -0.6], [0.6, -0.6, -0.6]])
HNC = ([7, 1, 6], [[0.0, 0.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, -1.2]])
MOLECULES = [WATER, HCN, METHANE, HNC]


def arguments() -> dict[str, Any]:
    return {
        "z": np.concatenate([z for z, _ in MOLECULES]).astype(np.uint8),
        "pos": np.concatenate([np.array(pos, dtype=float) for _, pos in MOLECULES]),
        "n_atoms": np.array([len(z) for z, _ in MOLECULES]),
        "energy": np.array([-2081.1, -2545.0, -1103.5, -2544.4]),
        "names": ["O", "C#N", "C", "[C-]#[NH+]"],
        "splits": {"train": np.array([0, 1, 3]), "val": np.array([2])},
        "where": "four.npz",
    }


@pytest.fixture
def data() -> FlatMolecules:
    return FlatMolecules(**arguments())


@given(items=st.lists(st.integers(0, 3), min_size=1, max_size=8))
@settings(deadline=None, max_examples=40)
def test_gather_is_collate_of_single_items(items: list[int]) -> None:
    data = FlatMolecules(**arguments())
    batch = data.__getitems__([(7, item) for item in items])
    joined = collate([data[item] for item in items])
    assert batch.fields.keys() == joined.fields.keys()
    for name in batch.fields:
        assert torch.equal(batch[name], joined[name]), name
        assert batch[name].dtype == joined[name].dtype
    assert batch.sizes["atom"].tolist() == [len(MOLECULES[item][0]) for item in items]
    assert batch["z"].tolist() == [z for item in items for z in MOLECULES[item][0]]
    expected = np.concatenate([np.array(MOLECULES[item][1], dtype=np.float32) for item in items])
    np.testing.assert_array_equal(batch["pos"].numpy(), expected)
    assert batch["item"].tolist() == items


def test_types_and_names(data: FlatMolecules) -> None:
    batch = data.gather(torch.tensor([2]))
    assert (batch["pos"].dtype, batch["energy"].dtype, batch["z"].dtype) == (torch.float32, torch.float64, torch.int64)
    assert data.names[3] == "[C-]#[NH+]"
    np.testing.assert_array_equal(data.sizes["atom"], [3, 3, 5, 3])
    assert len(data) == 4
    assert data[-1].num_nodes == 3
    with pytest.raises(IndexError):
        data[4]


def test_batches_do_not_share_memory_with_the_data(data: FlatMolecules) -> None:
    before = data[0].pos.clone()
    data.gather(torch.tensor([0, 1]))["pos"].mul_(2)
    assert torch.equal(data[0].pos, before)


def test_statistics(data: FlatMolecules) -> None:
    found = data.statistics(data.splits["train"])
    centred = [np.array(pos) - np.mean(pos, 0) for _, pos in (WATER, HCN, HNC)]
    assert float(found["position_variance"]) == pytest.approx(float((np.concatenate(centred) ** 2).mean()), rel=1e-6)
    assert float(found["energy_mean"]) == pytest.approx(np.mean([-2081.1, -2545.0, -2544.4]))
    assert float(found["energy_std"]) == pytest.approx(np.std([-2081.1, -2545.0, -2544.4]))
    assert found["elements"].tolist() == [1, 6, 7, 8]
    assert found["size_histogram"].tolist() == [0, 0, 0, 3]
    assert int(found["n_items"]) == 3
    parts = torch.split(found["composition_z"], found["composition_sizes"].tolist())
    counts = {tuple(part.tolist()): int(n) for part, n in zip(parts, found["composition_counts"], strict=True)}
    assert counts == {(1, 6, 7): 2, (1, 1, 8): 1}
    assert all(isinstance(value, torch.Tensor) for value in found.values())
    for name in ("position_variance", "energy_mean", "energy_std"):
        assert found[name].dtype == torch.float64


def test_statistics_ignore_where_molecules_lie(data: FlatMolecules) -> None:
    moved = arguments()
    moved["pos"] = moved["pos"] + np.repeat([[50.0, 0, 0], [0, -9, 0], [1, 2, 3], [0, 0, 40]], [3, 3, 5, 3], axis=0)
    variance = [d.statistics(np.arange(4))["position_variance"] for d in (data, FlatMolecules(**moved))]
    torch.testing.assert_close(variance[0], variance[1], rtol=1e-5, atol=0)


def test_statistics_without_energies() -> None:
    plain = arguments() | {"energy": None}
    assert "energy_mean" not in FlatMolecules(**plain).statistics(np.arange(2))


def _set(array: np.ndarray, index: Any, value: float) -> np.ndarray:
    changed = array.astype(float if isinstance(value, float) else array.dtype)
    changed[index] = value
    return changed


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("pos", lambda a: _set(a["pos"], (7, 1), np.nan), "molecule 2: pos is not finite"),
        ("pos", lambda a: _set(a["pos"], (4, 0), np.inf), "molecule 1: pos is not finite"),
        ("energy", lambda a: _set(a["energy"], 3, np.nan), "molecule 3: energy is not finite"),
        ("z", lambda a: _set(a["z"], 11, 0), "molecule 3: atomic number 0 is no element"),
        ("z", lambda a: _set(a["z"].astype(int), 2, 119), "molecule 0: atomic number 119 is no element"),
        ("pos", lambda a: a["pos"][:-1], r"pos has shape \(13, 3\), n_atoms asks for \(14, 3\)"),
        ("pos", lambda a: a["pos"][:, :2], r"pos has shape \(14, 2\)"),
        ("z", lambda a: a["z"][:, None], r"z has shape \(14, 1\)"),
        ("energy", lambda a: a["energy"][:2], r"energy has shape \(2,\)"),
        ("n_atoms", lambda a: np.array([3, 3, 8, 0]), "molecule 3: has no atoms"),
        ("n_atoms", lambda a: np.array([3.0, 3, 5, 3]), "n_atoms must be integers"),
        ("n_atoms", lambda a: np.zeros(0, dtype=int), "n_atoms must be integers"),
        ("names", lambda a: ["one"], "1 names for 4 molecules"),
        ("splits", lambda a: {"train": np.arange(4), "val": np.zeros(0, int)}, "the val split is empty"),
        ("splits", lambda a: {"train": np.arange(4), "val": np.array([3])}, "splits share items"),
        ("splits", lambda a: {"train": np.arange(5)}, r"the train split names items outside 0 \.\.\. 3"),
    ],
)
def test_bad_data_is_one_line_with_file_and_item(name: str, value: Any, message: str) -> None:
    wrong = arguments()
    wrong[name] = value(wrong)
    with pytest.raises(DataError, match=message) as caught:
        FlatMolecules(**wrong)
    assert caught.value.line.startswith("four.npz: ")
    assert "\n" not in caught.value.line
