"""The checks pass what is right and catch, one by one, what is wrong."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from hydramol.core.batch import Batch
from hydramol.testing import (
    check_batch_independence,
    check_padding,
    check_permutation_equivariance,
    check_rotation_equivariance,
    orthogonal_matrix,
    rotate,
)
from tests.conftest import random_molecules

TIME = torch.tensor([0.2, 0.5, 0.9])


@pytest.fixture(params=["flat", "padded"])
def batch(request) -> Batch:
    return random_molecules([5, 9, 3], dtype=torch.float64).to_layout(request.param)


def arms(batch: Batch, time: Tensor | None) -> Tensor:
    """From the centre of each molecule to its atoms, weighted by element and time: right in every respect."""
    centre = batch.spread(batch.mean(batch["pos"] * batch.mask()[..., None]))
    return (batch["pos"] - centre) * batch["z"][..., None] * batch.spread(time)[..., None]


def radius(batch: Batch, time: Tensor | None) -> Tensor:
    """One invariant a molecule."""
    return batch.sum(arms(batch, time).square().sum(-1, keepdim=True))


def test_right_ones_pass(batch: Batch) -> None:
    assert check_rotation_equivariance(arms, batch, TIME) < 1e-12
    assert check_rotation_equivariance(radius, batch, TIME, kind="invariant", axis="graph") < 1e-12
    assert check_permutation_equivariance(arms, batch, TIME) < 1e-12
    assert check_permutation_equivariance(radius, batch, TIME, axis="graph") < 1e-12
    assert check_batch_independence(arms, batch, TIME) < 1e-12
    assert check_batch_independence(radius, batch, TIME, axis="graph") < 1e-12
    assert check_padding(arms, batch, TIME) < 1e-12
    assert check_padding(radius, batch, TIME, axis="graph") < 1e-12


def test_finds_a_fixed_frame(batch: Batch) -> None:
    with pytest.raises(AssertionError, match="vector after a rotation"):
        check_rotation_equivariance(lambda b, t: arms(b, t) * torch.tensor([1.0, 1.0, 1.01]), batch, TIME)
    with pytest.raises(AssertionError, match="invariant after a rotation"):
        check_rotation_equivariance(arms, batch, TIME, kind="invariant")


def test_finds_what_only_reflections_show(batch: Batch) -> None:
    def handed(batch: Batch, time: Tensor | None) -> Tensor:
        a = arms(batch, time)
        return torch.cross(a, a.square().sum(-1, keepdim=True) * a.roll(1, dims=-2), dim=-1)

    check_rotation_equivariance(handed, batch, TIME, reflections=False)
    with pytest.raises(AssertionError, match="rotation"):
        check_rotation_equivariance(handed, batch, TIME)


def test_finds_a_special_atom(batch: Batch) -> None:
    with pytest.raises(AssertionError, match="order of the atoms"):
        check_permutation_equivariance(lambda b, t: arms(b, t) * (b.position() > 0)[..., None], batch, TIME)


def test_finds_batch_mates(batch: Batch) -> None:
    with pytest.raises(AssertionError, match="alone"):
        check_batch_independence(lambda b, t: arms(b, t) + b.n_rows(), batch, TIME)
    with pytest.raises(AssertionError, match="alone"):
        check_batch_independence(lambda b, t: arms(b, t[:1].expand(len(b))), batch, TIME)


def test_finds_unmasked_sums_in_value_and_gradient() -> None:
    batch = random_molecules([5, 9, 3], dtype=torch.float64)

    def unmasked(batch: Batch, time: Tensor | None) -> Tensor:
        return batch["pos"] - batch["pos"].sum(1, keepdim=True)

    check_padding(unmasked, batch, junk=None)
    with pytest.raises(AssertionError, match="value with 5 rows"):
        check_padding(unmasked, batch)

    class Bias(nn.Module):
        """Adds sum minus sum of a bias over all rows: no change of the value, but of the bias's gradient."""

        def __init__(self) -> None:
            super().__init__()
            self.bias = nn.Parameter(torch.zeros(3, dtype=torch.float64))

        def forward(self, batch: Batch, time: Tensor | None) -> Tensor:
            return batch["pos"] + self.bias * batch["pos"].shape[1]

    net = Bias()
    with pytest.raises(AssertionError, match="gradient of parameter 0"):
        check_padding(net, batch, parameters=net.parameters())


def test_nan_fails(batch: Batch) -> None:
    with pytest.raises(AssertionError, match="nan"):
        check_rotation_equivariance(lambda b, t: arms(b, t) * float("nan"), batch, TIME)


def test_turns_points_and_vectors_only() -> None:
    batch = random_molecules([4])
    batch = batch.with_fields(forces=batch["pos"] * 2)
    matrix = orthogonal_matrix(3, proper=False)
    assert torch.linalg.det(matrix) == pytest.approx(-1)
    turned = rotate(batch, matrix)
    torch.testing.assert_close(turned["pos"], batch["pos"] @ matrix.float().T)
    torch.testing.assert_close(turned["forces"], 2 * turned["pos"])
    assert torch.equal(turned["z"], batch["z"])
