"""Transforms: what they keep, what they draw, and that they move everything together."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform, Compose, RandomJitter, RandomScale

from hydramol.core import keys
from hydramol.core.batch import Batch
from hydramol.core.errors import DataError
from hydramol.core.keys import Key
from hydramol.core.randomness import Randomness
from hydramol.data.transforms import Center, Flip, Pad, Rotate, apply_pyg, apply_transforms
from tests.conftest import random_molecules

RANDOM = Randomness(3, "train/augment", epoch=1)
MATRIX = [[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]


def labelled(batch: Batch) -> Batch:
    """With forces and noise that go with the positions, and an energy that does not."""
    n_rows = batch.n_rows()
    generator = torch.Generator().manual_seed(1)
    return batch.with_fields(
        forces=2.0 * batch["pos"],
        noise=torch.randn(n_rows, 3, generator=generator, dtype=batch["pos"].dtype),
        energy=torch.arange(len(batch), dtype=torch.float64),
    )


def distances(batch: Batch, item: int) -> Tensor:
    pos = batch.to_layout("flat").select(torch.tensor([item]))["pos"]
    return torch.cdist(pos, pos)


def volume(batch: Batch, item: int) -> float:
    """Signed volume of the first four atoms: changes its sign under reflection."""
    pos = batch.to_layout("flat").select(torch.tensor([item]))["pos"]
    return float(torch.linalg.det((pos[1:4] - pos[0]).double()))


@pytest.fixture
def batch() -> Batch:
    return labelled(random_molecules([5, 9, 4, 7], dtype=torch.float64))


@pytest.mark.parametrize("transform", [Center(), Rotate(), Rotate(MATRIX), Flip(), Flip(1.0, [1.0, 2.0, -1.0])])
@pytest.mark.parametrize("layout", ["flat", "padded"])
def test_molecules_keep_their_shape(batch: Batch, transform: Rotate, layout: str) -> None:
    changed = transform(batch.to_layout(layout, None if layout == "flat" else 11), RANDOM)
    for item in range(len(batch)):
        torch.testing.assert_close(distances(changed, item), distances(batch, item))
    flat = changed.to_layout("flat")
    for name in ("z", "energy", "item", "view"):
        assert torch.equal(flat[name], batch[name])
    if layout == "padded":
        assert not changed["pos"][~changed.mask()].any()
    assert changed["pos"].dtype == torch.float64


@pytest.mark.parametrize("transform", [Rotate(), Flip()])
def test_vectors_turn_with_the_positions(batch: Batch, transform: Rotate) -> None:
    changed = transform(batch, RANDOM)
    torch.testing.assert_close(changed["forces"], 2.0 * changed["pos"])
    before, after = (batch.sum((b["pos"] * b["noise"]).sum(-1)) for b in (batch, changed))
    torch.testing.assert_close(before, after)
    assert not torch.allclose(changed["noise"], batch["noise"])


def test_center_moves_points_but_no_vectors(batch: Batch) -> None:
    moved = batch.with_fields(pos=batch["pos"] + 100.0)
    centred = Center()(moved, RANDOM)
    torch.testing.assert_close(centred.mean(centred["pos"]), torch.zeros(4, 3, dtype=torch.float64))
    assert torch.equal(centred["forces"], batch["forces"])


def test_every_kind_of_the_key_table_turns(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fields that later systems bring: frames, several points a row, vectors of the whole item."""
    monkeypatch.setitem(keys.KEYS, "frames", Key(("atom", 3, 3), "1", "frame"))
    monkeypatch.setitem(keys.KEYS, "atom14", Key(("atom", 14, 3), "Angstrom", "point"))
    monkeypatch.setitem(keys.KEYS, "dipole", Key(("graph", 3), "e Angstrom", "vector"))
    n_rows = batch.n_rows()
    wide = batch.with_fields(
        frames=torch.linalg.qr(torch.randn(n_rows, 3, 3, dtype=torch.float64))[0],
        atom14=torch.randn(n_rows, 14, 3, dtype=torch.float64) + batch["pos"][:, None],
        dipole=torch.randn(len(batch), 3, dtype=torch.float64),
    )
    for laid in (wide, wide.to_layout("padded", 12)):
        turned = Rotate(MATRIX)(laid, RANDOM).to_layout("flat")
        matrix = torch.tensor(MATRIX, dtype=torch.float64)
        torch.testing.assert_close(turned["pos"], batch["pos"] @ matrix.T)
        torch.testing.assert_close(turned["frames"], matrix @ wide["frames"])
        torch.testing.assert_close(turned["atom14"], wide["atom14"] @ matrix.T)
        torch.testing.assert_close(turned["dipole"], wide["dipole"] @ matrix.T)
        centred = Center()(laid, RANDOM).to_layout("flat")
        torch.testing.assert_close(centred["atom14"] - centred["pos"][:, None], wide["atom14"] - wide["pos"][:, None])
    with pytest.raises(ValueError, match="mirror image of a frame"):
        Flip()(wide, RANDOM)


def test_rotations_are_proper_uniform_and_one_an_item() -> None:
    corners = Batch(
        {"pos": torch.eye(3, dtype=torch.float64).repeat(4000, 1), "item": torch.arange(4000)},
        {"atom": torch.full((4000,), 3)},
    )
    matrices = Rotate()(corners, RANDOM)["pos"].reshape(4000, 3, 3).transpose(1, 2).numpy()
    np.testing.assert_allclose(np.linalg.det(matrices), 1.0)
    # Over SO(3) entries average to 0 and their products to 1/3 (same entry) or 0 (different ones).
    flat = matrices.reshape(4000, 9)
    np.testing.assert_allclose(flat.mean(0), 0.0, atol=6 * np.sqrt(1 / 3 / 4000))
    np.testing.assert_allclose(flat.T @ flat / 4000, np.eye(9) / 3, atol=6 * np.sqrt(0.2 / 4000))


def test_flip_mirrors_as_often_as_asked() -> None:
    many = random_molecules([4] * 400, dtype=torch.float64)
    flipped = Flip(0.3)(many, RANDOM)
    signs = np.array([volume(flipped, item) / volume(many, item) for item in range(400)])
    np.testing.assert_allclose(np.abs(signs), 1.0, rtol=1e-9)
    assert abs((signs < 0).mean() - 0.3) < 5 * np.sqrt(0.21 / 400)
    assert not (Flip(0.0)(many, RANDOM)["pos"] - many["pos"]).any()


def test_flip_through_a_given_plane(batch: Batch) -> None:
    flipped = Flip(1.0, [0.0, 0.0, 2.0])(batch, RANDOM)
    torch.testing.assert_close(flipped["pos"], batch["pos"] * torch.tensor([1.0, 1.0, -1.0], dtype=torch.float64))


@given(chosen=st.lists(st.integers(0, 3), min_size=1, max_size=5), width=st.integers(9, 12))
@settings(deadline=None, max_examples=30)
def test_an_item_is_augmented_alike_in_any_batch_and_layout(chosen: list[int], width: int) -> None:
    transforms = {"center": Center(), "rotate": Rotate(), "flip": Flip()}
    batch = labelled(random_molecules([5, 9, 4, 7]))
    whole = apply_transforms(batch, transforms, RANDOM)
    part = apply_transforms(batch.select(torch.tensor(chosen)), transforms, RANDOM)
    expected = whole.select(torch.tensor(chosen))
    padded = apply_transforms(batch.to_layout("padded", width), transforms, RANDOM).to_layout("flat")
    for name in ("pos", "forces", "noise"):
        torch.testing.assert_close(part[name], expected[name], rtol=0, atol=1e-6)
        torch.testing.assert_close(padded[name], whole[name], rtol=0, atol=1e-6)


def test_views_epochs_and_items_differ(batch: Batch) -> None:
    one = batch.select(torch.tensor([0, 0])).with_fields(view=torch.tensor([0, 1]))
    turned = Rotate()(one, RANDOM)
    assert not torch.allclose(turned["pos"][:5], turned["pos"][5:])
    other = Rotate()(one, Randomness(3, "train/augment", epoch=2))
    assert not torch.allclose(turned["pos"], other["pos"])


def test_switching_one_off_leaves_the_others_alone(batch: Batch) -> None:
    rotated = apply_transforms(batch, {"flip": None, "rotate": Rotate()}, RANDOM)
    assert torch.equal(rotated["pos"], Rotate()(batch, RANDOM.for_stream("rotate"))["pos"])
    assert apply_transforms(batch, {"flip": None}, RANDOM) is batch


def test_pad_equals_a_loop(batch: Batch) -> None:
    padded = Pad()(batch, RANDOM)
    assert padded.layout == "padded"
    assert padded["pos"].shape == (4, 9, 3)
    start = 0
    for item, size in enumerate(batch.sizes["atom"].tolist()):
        assert torch.equal(padded["pos"][item, :size], batch["pos"][start : start + size])
        assert not padded["pos"][item, size:].any()
        start += size
    assert Pad(multiple_of=8)(batch, RANDOM)["z"].shape == (4, 16)
    assert torch.equal(padded["energy"], batch["energy"])


def test_pyg_transforms_draw_from_the_items_own_key(batch: Batch) -> None:
    plain = batch.without("forces", "noise")
    transform = Compose([RandomScale((0.5, 2.0)), RandomJitter(0.1)])
    torch.manual_seed(0)
    before = torch.get_rng_state()
    changed = apply_transforms(plain, {"jitter": transform}, RANDOM)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(5)
    part = apply_pyg(transform, plain.select(torch.tensor([2, 0])).to_layout("padded"), RANDOM.for_stream("jitter"))
    assert part.layout == "padded"
    expected = changed.select(torch.tensor([2, 0]))
    assert torch.equal(part.to_layout("flat")["pos"], expected["pos"])
    assert not torch.allclose(changed["pos"], plain["pos"])
    assert changed.key == plain.key


def test_pyg_transforms_that_add_unknown_fields_are_named(batch: Batch) -> None:
    with pytest.raises(DataError, match="edge_index"):
        apply_pyg(_Naming(), batch, RANDOM)


class _Naming(BaseTransform):
    """Adds what the key table does not know."""

    def forward(self, data: Data) -> Data:
        data.edge_index = torch.zeros(2, 0, dtype=torch.int64)
        return data


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Rotate([[1.0, 0.0], [0.0, 1.0]]), r"matrix has shape \(2, 2\)"),
        (lambda: Rotate((2 * torch.eye(3)).tolist()), "is not a rotation"),
        (lambda: Rotate((-torch.eye(3)).tolist()), "is not a rotation"),
        (lambda: Flip(1.5), r"probability=1\.5"),
        (lambda: Flip(normal=[0.0, 0.0, 0.0]), "not all 0"),
        (lambda: Pad(0), "multiple_of=0"),
    ],
)
def test_wrong_values_are_named(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]
