"""Rotations: conversions, uniform draws, turning rows."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from hydramol.core.batch import Batch
from hydramol.core.randomness import Randomness
from hydramol.geometry.rotations import (
    matrix_to_quaternion,
    quaternion_to_matrix,
    random_reflections,
    random_rotations,
    reflection_matrix,
    rotate_rows,
)


def items(count: int) -> Batch:
    return Batch({"item": torch.arange(count)}, {"atom": torch.ones(count, dtype=torch.int64)})


def test_conversions_agree_with_scipy():
    reference = Rotation.random(200, random_state=0)
    quaternion = torch.from_numpy(reference.as_quat(canonical=True)[:, [3, 0, 1, 2]])
    matrix = torch.from_numpy(reference.as_matrix())
    assert torch.allclose(quaternion_to_matrix(3.0 * quaternion), matrix, atol=1e-14)
    assert torch.allclose(matrix_to_quaternion(matrix), quaternion, atol=1e-14)


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(-1, 1), min_size=4, max_size=4).filter(lambda q: np.linalg.norm(q) > 1e-3))
def test_roundtrip_also_at_half_turns(numbers):
    for quaternion in (numbers, [0.0, *numbers[1:3], 1.0]):
        q = torch.tensor(quaternion, dtype=torch.float64)
        back = matrix_to_quaternion(quaternion_to_matrix(q))
        unit = q / q.norm()
        assert back[0] >= 0
        assert min((back - unit).norm(), (back + unit).norm()) < 1e-12


def test_random_rotations_are_proper_and_uniform():
    rotation = random_rotations(items(40_000), Randomness(1, "rotate"))
    assert torch.allclose(rotation @ rotation.transpose(1, 2), torch.eye(3, dtype=torch.float64), atol=1e-13)
    assert torch.allclose(torch.linalg.det(rotation), torch.ones(40_000, dtype=torch.float64))
    # Under the Haar measure every entry has mean 0 and second moment 1/3, and the angle has density (1 - cos w) / pi.
    assert rotation.mean(0).abs().max() < 0.015
    assert (rotation.square().mean(0) - 1 / 3).abs().max() < 0.01
    angle = torch.arccos(((rotation.diagonal(dim1=1, dim2=2).sum(1) - 1) / 2).clamp(-1, 1))
    for w in (0.5, 1.5, 2.5):
        assert (angle < w).double().mean().item() == pytest.approx((w - np.sin(w)) / np.pi, abs=0.01)


def test_random_reflections():
    matrices = random_reflections(items(4000), Randomness(1, "flip"), probability=0.25)
    determinant = torch.linalg.det(matrices)
    assert torch.allclose(determinant.abs(), torch.ones(4000, dtype=torch.float64))
    assert (determinant < 0).double().mean().item() == pytest.approx(0.25, abs=0.03)
    with pytest.raises(ValueError, match="probability"):
        random_reflections(items(2), Randomness(1, "flip"), probability=1.5)


def test_reflection_turns_its_normal_only():
    normal = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    matrix = reflection_matrix(normal)
    in_plane = torch.linalg.cross(normal, torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64))
    assert torch.allclose(matrix @ normal, -normal)
    assert torch.allclose(matrix @ in_plane, in_plane)


def test_rotation_of_an_item_is_its_own(molecules):
    random = Randomness(3, "rotate")
    some = torch.tensor([2, 0])
    assert torch.equal(random_rotations(molecules.select(some), random), random_rotations(molecules, random)[some])


@pytest.mark.parametrize("layout", ["flat", "padded"])
def test_rotate_rows_turns_each_item_by_its_matrix(molecules, layout):
    batch = molecules.to_layout(layout)
    matrices = random_rotations(batch, Randomness(0, "rotate"))
    turned = rotate_rows(batch["pos"], matrices, batch)
    assert turned.dtype == torch.float32
    flat, expected = batch.rows(turned), []
    for number, size in enumerate([5, 9, 3]):
        one = molecules.select(torch.tensor([number]))["pos"].double()
        expected += [matrices[number] @ one[row] for row in range(size)]
    assert (flat.double() - torch.stack(expected)).abs().max() < 1e-6
