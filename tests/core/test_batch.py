"""The batch: two layouts that say the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from hydramol.core.batch import Batch
from hydramol.core.keys import KEYS, key_of
from tests.conftest import random_molecules

sizes_of_items = st.lists(st.integers(1, 7), min_size=1, max_size=6)


def batch_of(sizes: list[int], seed: int = 0) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    n_rows = sum(sizes)
    return Batch(
        {
            "z": torch.randint(1, 10, (n_rows,), generator=generator),
            "pos": torch.randn(n_rows, 3, generator=generator, dtype=torch.float64),
            "energy": torch.randn(len(sizes), generator=generator, dtype=torch.float64),
            "item": torch.arange(len(sizes)) + 10,
        },
        {"atom": torch.tensor(sizes)},
        key=(2, 5),
    )


def assert_same(one: Batch, other: Batch) -> None:
    assert one.layout == other.layout
    assert one.key == other.key
    assert one.fields.keys() == other.fields.keys()
    for name in one.fields:
        assert torch.equal(one[name], other[name]), name
    for axis in one.sizes:
        assert torch.equal(one.sizes[axis], other.sizes[axis])


@given(sizes=sizes_of_items, extra=st.integers(0, 3))
@settings(deadline=None, max_examples=40)
def test_layouts_round_trip(sizes: list[int], extra: int) -> None:
    batch = batch_of(sizes)
    padded = batch.to_layout("padded", max(sizes) + extra)
    assert padded["pos"].shape == (len(sizes), max(sizes) + extra, 3)
    assert_same(padded.to_layout("flat"), batch)
    assert_same(padded.to_layout("padded", max(sizes)), batch.to_layout("padded"))
    assert_same(batch.to_layout("flat", 3), batch)


@given(sizes=sizes_of_items, extra=st.integers(0, 3))
@settings(deadline=None, max_examples=40)
def test_both_layouts_agree(sizes: list[int], extra: int) -> None:
    flat = batch_of(sizes)
    padded = flat.to_layout("padded", max(sizes) + extra)
    mask = padded.mask()
    assert mask.sum(1).tolist() == sizes
    assert torch.equal(padded.index()[mask], flat.index())
    assert torch.equal(padded.position()[mask], flat.position())
    torch.testing.assert_close(padded.sum(padded["pos"]), flat.sum(flat["pos"]))
    torch.testing.assert_close(padded.mean(padded["pos"]), flat.mean(flat["pos"]))
    per_item = torch.randn(len(sizes), 2, 3)
    assert torch.equal(padded.spread(per_item)[mask], flat.spread(per_item))
    assert torch.equal(padded.rows(padded["pos"]), flat["pos"])
    assert torch.equal(padded.like(flat["pos"], "padded"), padded["pos"])
    assert torch.equal(flat.like(flat["pos"], "padded"), flat.to_layout("padded")["pos"])
    assert padded.n_rows() == flat.n_rows() == sum(sizes)


@given(sizes=sizes_of_items, data=st.data())
@settings(deadline=None, max_examples=40)
def test_select_takes_items_in_order(sizes: list[int], data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.integers(0, len(sizes) - 1), min_size=1, max_size=6))
    flat = batch_of(sizes)
    picked = flat.select(torch.tensor(chosen))
    starts = np.cumsum([0, *sizes])
    expected = torch.cat([flat["pos"][starts[item] : starts[item + 1]] for item in chosen])
    assert torch.equal(picked["pos"], expected)
    assert picked["item"].tolist() == [item + 10 for item in chosen]
    padded = flat.to_layout("padded").select(torch.tensor(chosen))
    assert_same(padded.to_layout("flat"), picked)
    keep = torch.tensor([size > 2 for size in sizes])
    assert flat.select(keep)["item"].tolist() == [item + 10 for item, size in enumerate(sizes) if size > 2]


def test_padding_is_the_tables() -> None:
    batch = batch_of([2, 1])
    batch = batch.with_fields(multiplicity=torch.tensor([2, 3]))
    padded = batch.to_layout("padded", 4)
    for name in ("z", "pos"):
        assert bool((padded[name][~padded.mask()] == KEYS[name].pad).all())
    assert padded["multiplicity"].tolist() == [2, 3]
    with pytest.raises(ValueError, match="width 1 is less than the longest item"):
        batch.to_layout("padded", 1)


def test_padding_changes_no_gradient() -> None:
    batch = batch_of([4, 2])
    grads: list[Tensor] = []
    for layout, width in (("flat", None), ("padded", 7)):
        pos = batch["pos"].clone().requires_grad_()
        laid = batch.with_fields(pos=pos).to_layout(layout, width)
        centred = laid["pos"] - laid.spread(laid.mean(laid["pos"]))
        (laid.sum(centred.square().sum(-1)).sin().sum()).backward()
        assert pos.grad is not None
        grads.append(pos.grad)
    torch.testing.assert_close(grads[0], grads[1])


def test_other_fields_survive_changes() -> None:
    batch = batch_of([3, 2])
    assert "energy" in batch.with_fields(pos=batch["pos"] * 2)
    assert "energy" not in batch.without("energy")
    assert batch.to(torch.device("cpu"))["energy"].dtype == torch.float64
    samples = batch.to_pyg()
    assert [sample.num_nodes for sample in samples] == [3, 2]
    assert torch.equal(torch.cat([sample.pos for sample in samples]), batch["pos"])


def test_unknown_fields_name_the_table() -> None:
    with pytest.raises(KeyError, match=r"'colour' is not in hydramol\.core\.keys\.KEYS"):
        key_of("colour")


def test_dense_is_known_where_rows_were_laid_out():
    equal, unequal = random_molecules([4, 4]), random_molecules([4, 3])
    assert not equal.dense
    assert not equal.to_layout("padded", 5).dense
    assert not unequal.to_layout("padded").dense
    padded = equal.to_layout("padded")
    assert padded.dense
    assert padded.mask().all()
    for kept in (padded.select(torch.tensor([1, 0, 1])), padded.with_fields(pos=padded["pos"] + 1), padded.to("cpu")):
        assert kept.dense
    for lost in (
        padded.to_layout("flat"),
        padded.to_layout("padded", 6),
        padded.to_layout("padded", 6).to_layout("flat"),
    ):
        assert not lost.dense
    assert padded.to_layout("padded", 4).dense
