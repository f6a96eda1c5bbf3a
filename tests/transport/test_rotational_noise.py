"""Rotations that grow with time, applied to a noised structure as a whole."""

from __future__ import annotations

import math

import pytest
import torch

from hydramol.core.batch import Batch
from hydramol.core.randomness import Randomness
from hydramol.geometry.centring import centre
from hydramol.transport.discrete_path import DiscretePath
from hydramol.transport.prior import CentredGaussian
from hydramol.transport.rotational_noise import growing_rotations
from hydramol.transport.transport import Transport

PATH = DiscretePath()
RANDOM = Randomness(4, "train")


def make(**options) -> Transport:
    return Transport(PATH, CentredGaussian(), **{"rotational_noise": True, **options})


def items(count: int, size: int = 1) -> Batch:
    return Batch({"item": torch.arange(count)}, {"atom": torch.full((count,), size)})


def angles(time: float, count: int = 20_000) -> torch.Tensor:
    turn = growing_rotations(torch.full((count,), time), items(count), RANDOM)
    return torch.arccos(((turn.diagonal(dim1=1, dim2=2).sum(-1) - 1) / 2).clamp(-1, 1))


def test_angles_follow_the_law():
    assert angles(0.0, 10).max() < 1e-6
    rms = [angles(time).square().mean().sqrt().item() for time in (0.02, 0.05, 0.2, 0.4, 0.7, 1.0)]
    assert rms == sorted(rms)
    assert rms[0] == pytest.approx(math.pi * 0.02, rel=0.04)
    assert rms[1] == pytest.approx(math.pi * 0.05, rel=0.08)
    # Uniform: the density of the angle is (1 - cos) / pi.
    late = angles(1.0)
    for edge in (0.5, 1.0, 2.0, 3.0):
        expected = (edge - math.sin(edge)) / math.pi
        assert (late < edge).double().mean().item() == pytest.approx(expected, abs=0.015)


@pytest.mark.parametrize("time", [0.0, 0.3, 1.0])
def test_rotations_are_proper_and_have_no_favourite_axis(time):
    turn = growing_rotations(torch.full((20_000,), time), items(20_000), RANDOM)
    assert (turn @ turn.transpose(1, 2) - torch.eye(3)).abs().max() < 1e-12
    assert (torch.linalg.det(turn) - 1).abs().max() < 1e-12
    axis = torch.stack([turn[:, 2, 1] - turn[:, 1, 2], turn[:, 0, 2] - turn[:, 2, 0], turn[:, 1, 0] - turn[:, 0, 1]])
    if time:
        unit = axis / axis.norm(dim=0)
        assert (unit @ unit.T / 20_000 - torch.eye(3) / 3).abs().max() < 0.01
        assert unit.mean(1).abs().max() < 0.02


@pytest.mark.parametrize("predicts", ["noise", "clean"])
@pytest.mark.parametrize("layout", ["flat", "padded"])
def test_structure_noise_and_target_turn_together(molecules, predicts, layout):
    batch = molecules.with_fields(pos=molecules["pos"].double() + 2.0).to_layout(layout)
    t = torch.tensor([10, 500, 999])
    found = make(predicts=predicts).corrupt(batch["pos"], t, batch, RANDOM, training=True)
    plain = make(predicts=predicts).corrupt(batch["pos"], t, batch, RANDOM)
    turn = growing_rotations(PATH.normalise(t), batch, RANDOM.for_stream("rotational_noise"))
    a, s = (batch.spread(value)[..., None] for value in PATH.at(t))
    clean = batch.spread(turn) @ centre(batch["pos"], batch)[..., None]
    assert (found.x_t - a * clean[..., 0] - s * found.noise).abs().max() < 1e-12
    assert torch.equal(found.target, found.noise) or torch.allclose(found.target, clean[..., 0])
    for one, other in zip(found[:1] + found[2:4], plain[:1] + plain[2:4], strict=True):
        assert (one - (batch.spread(turn) @ other[..., None])[..., 0]).abs().max() < 1e-12
        assert (one - other).abs().max() > 0.1
        assert not one[~batch.mask()].any()


def test_turned_noise_is_standard_normal():
    batch = items(20_000, 4)
    t = torch.full((20_000,), 700)
    found = make().corrupt(torch.ones(80_000, 3).double(), t, batch, RANDOM, training=True)
    noise = found.noise.reshape(20_000, 12)
    expected = torch.kron(torch.eye(4) - 0.25, torch.eye(3)).double()
    assert (noise.T @ noise / 20_000 - expected).abs().max() < 0.05
    assert noise.mean(0).abs().max() < 0.03
    assert (noise**4).mean().item() == pytest.approx(3 * 0.75**2, rel=0.03)


def test_nothing_changes_when_off_or_outside_of_training(molecules):
    t = torch.tensor([10, 500, 999])
    off = Transport(PATH, CentredGaussian())
    reference = off.corrupt(molecules["pos"], t, molecules, RANDOM)
    for other in (
        off.corrupt(molecules["pos"], t, molecules, RANDOM, training=True),
        make().corrupt(molecules["pos"], t, molecules, RANDOM),
    ):
        assert all(torch.equal(one, two) for one, two in zip(reference, other, strict=True))


def test_rotations_belong_to_items(molecules):
    t, some = torch.tensor([10, 500, 999]), torch.tensor([2, 0])
    whole = make().corrupt(molecules["pos"], t, molecules, RANDOM, training=True).x_t
    part = molecules.select(some)
    alone = make().corrupt(part["pos"], t[some], part, RANDOM, training=True).x_t
    assert torch.equal(alone, molecules.with_fields(pos=whole).select(some)["pos"])
