"""Principal axes as frames."""

from __future__ import annotations

import pytest
import torch

from hydramol.core.batch import Batch
from hydramol.core.randomness import Randomness
from hydramol.geometry.principal_frames import principal_frames
from hydramol.geometry.rotations import random_rotations, rotate_rows


def one(rows: list[list[float]]) -> Batch:
    pos = torch.tensor(rows, dtype=torch.float64)
    return Batch({"pos": pos, "item": torch.tensor([0])}, {"atom": torch.tensor([len(pos)])})


def assert_proper(frames: torch.Tensor) -> None:
    assert (frames @ frames.transpose(-1, -2) - torch.eye(3)).abs().max() < 1e-12
    assert (torch.linalg.det(frames) - 1).abs().max() < 1e-12


@pytest.mark.parametrize("layout", ["flat", "padded"])
def test_as_a_set_they_turn_with_the_structure(molecules, layout):
    batch = molecules.with_fields(pos=molecules["pos"].double() + 3.0).to_layout(layout)
    frames = principal_frames(batch["pos"], batch)
    assert frames.shape == (4, 3, 3, 3)
    assert_proper(frames)
    turn = random_rotations(batch, Randomness(0, "turn"))
    turned = principal_frames(rotate_rows(batch["pos"], turn, batch), batch)
    difference = (turned[:, None] - turn @ frames[None]).abs().amax((-1, -2))  # [turned, frame, item]
    assert difference.amin(1).max() < 1e-9
    assert difference.amin(0).max() < 1e-9


def test_axes_are_those_of_a_box():
    batch = one([[x, y, z] for x in (-3, 3) for y in (-1, 1) for z in (-2, 2)])
    for frame in principal_frames(batch["pos"], batch)[:, 0]:
        assert torch.allclose(frame.abs(), torch.eye(3).double()[:, [1, 2, 0]])


@pytest.mark.parametrize(
    "rows",
    [
        [[1.0, 2.0, 3.0]],
        [[0.0, 0.0, 0.0], [1.0, 1.0, 0.0]],
        [[0.0, 0.0, k * 1.1] for k in range(4)],
        [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 2.0, 0.0]],
        [[1.0, 1.0, 1.0], [1.0, -1.0, -1.0], [-1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]],
        [[0.5, 0.5, 0.5]] * 3,
    ],
    ids=["atom", "pair", "line", "plane", "tetrahedron", "spot"],
)
def test_degenerate_structures_have_proper_frames(rows):
    batch = one(rows)
    assert_proper(principal_frames(batch["pos"], batch))


def test_a_broken_structure_spoils_no_other(molecules):
    whole = principal_frames(molecules["pos"], molecules)
    broken = molecules["pos"].clone()
    broken[0] = float("nan")
    frames = principal_frames(broken, molecules)
    assert torch.equal(frames[:, 1:], whole[:, 1:])
    assert_proper(frames)
