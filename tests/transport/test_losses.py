"""Errors of structures that may turn: aligned squares and pairwise distances."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from hydramol.core.batch import Batch
from hydramol.core.protocols import Corrupted
from hydramol.core.randomness import Randomness
from hydramol.geometry.centring import centre
from hydramol.geometry.kabsch import kabsch_rmsd
from hydramol.geometry.rotations import random_rotations, reflection_matrix, rotate_rows
from hydramol.transport.discrete_path import DiscretePath
from hydramol.transport.pairwise_error import pairwise_error
from hydramol.transport.prior import CentredGaussian
from hydramol.transport.transport import Transport
from tests.conftest import random_molecules

PATH = DiscretePath()
LOSSES = ["mse", "kabsch", "pairwise"]
TIMES = torch.tensor([3, 300, 900])


def make(loss: str = "mse", **options) -> Transport:
    return Transport(PATH, CentredGaussian(), loss=loss, **options)


def noised(batch: Batch, t: Tensor = TIMES, **options) -> Corrupted:
    return make(**options).corrupt(batch["pos"], t, batch, Randomness(0, "noised"))


def guess(corrupted: Corrupted, batch: Batch, size: float = 0.5) -> Tensor:
    """A prediction that is wrong by so much, centred."""
    noise = Randomness(1, "guess").normal_rows(batch).to(corrupted.target.dtype)
    return corrupted.target + centre(size * noise, batch)


@pytest.fixture
def exact(molecules: Batch) -> Batch:
    return molecules.with_fields(pos=molecules["pos"].double())


def as_output(clean: Tensor, corrupted: Corrupted, batch: Batch, predicts: str) -> Tensor:
    a, s = (batch.spread(value)[..., None] for value in PATH.at(corrupted.t))
    return (corrupted.x_t - a * clean) / s if predicts == "noise" else clean


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("predicts", ["noise", "clean"])
def test_right_answers_cost_nothing(exact, loss, predicts):
    found = noised(exact, predicts=predicts)
    sums = make(loss, predicts=predicts).loss(found.target, found, exact)
    assert sums.total.max() < 1e-9
    assert torch.equal(sums.count, torch.tensor([15.0, 27.0, 9.0]))


@pytest.mark.parametrize("loss", ["kabsch", "pairwise"])
@pytest.mark.parametrize("predicts", ["noise", "clean"])
@pytest.mark.parametrize("layout", ["flat", "padded"])
def test_rotated_answers_cost_the_same(exact, loss, predicts, layout):
    batch = exact.to_layout(layout)
    found = noised(batch, predicts=predicts)
    transport = make(loss, predicts=predicts)
    wrong = guess(found, batch)
    clean = transport.view(wrong, found.x_t, found.t, batch).clean
    turned = rotate_rows(clean, random_rotations(batch, Randomness(2, "turn")), batch)
    one = transport.loss(wrong, found, batch).total
    other = transport.loss(as_output(turned, found, batch, predicts), found, batch).total
    assert (one > 0.1).all()
    assert torch.allclose(one, other, rtol=1e-4)
    plain = make(predicts=predicts).loss(as_output(turned, found, batch, predicts), found, batch).total
    assert (plain[:2] > 1.2 * other[:2]).all()  # the squared error does mind, unless there is nothing but noise


def test_mirror_images_cost_only_where_alignment_is_proper(exact):
    batch = exact.select(torch.tensor([0, 1]))  # three atoms equal their mirror image
    found = noised(batch, TIMES[:2], predicts="clean")
    mirror = reflection_matrix(torch.tensor([0.3, 1.0, -0.2], dtype=torch.float64)).expand(2, 3, 3)
    image = rotate_rows(found.target, mirror, batch)
    assert (make("kabsch", predicts="clean").loss(image, found, batch).total > 0.1).all()
    assert make("pairwise", predicts="clean").loss(image, found, batch).total.max() < 1e-12


def test_kabsch_is_the_squared_rmsd(exact):
    batch = exact.to_layout("padded")
    found = noised(batch, predicts="clean")
    wrong = guess(found, batch, 1.5)
    sums = make("kabsch", predicts="clean").loss(wrong, found, batch)
    expected = batch.sizes["atom"] * kabsch_rmsd(wrong, found.target, batch.mask()).square()
    assert torch.allclose(sums.total.double(), expected, rtol=1e-5)


@pytest.mark.parametrize("size", [0.01, 0.5, 20.0])
@pytest.mark.parametrize("predicts", ["noise", "clean"])
def test_order_of_the_losses(exact, size, predicts):
    found = noised(exact, predicts=predicts)
    moved = guess(found, exact, size) + 0.3 * size  # a wrong centre costs, as it does in mse
    mse, kabsch, pairwise = (make(loss, predicts=predicts).loss(moved, found, exact).total for loss in LOSSES)
    assert (kabsch <= mse * (1 + 1e-5) + 1e-9).all()
    assert (pairwise <= 3 * kabsch * (1 + 1e-5) + 1e-9).all()


@pytest.mark.parametrize("t", [5, 500])
def test_pairwise_weighs_as_the_squared_error(t):
    """Small isotropic errors cost the same on average, in molecules of any size."""
    for size in (2, 3, 12):
        one = random_molecules([size], seed=size, dtype=torch.float64)
        count = 4000
        fields = {"pos": one["pos"].repeat(count, 1), "item": torch.arange(count)}
        batch = Batch(fields, {"atom": torch.full((count,), size)})
        found = noised(batch, torch.full((count,), t))
        a, s = (value.item() for value in PATH.at(torch.tensor(t)))
        wrong = guess(found, batch, 1e-3 * a / s)
        mse, pairwise = (make(loss).loss(wrong, found, batch).total.sum().item() for loss in ("mse", "pairwise"))
        assert pairwise / mse == pytest.approx(1.0, abs=0.05)
        assert mse == pytest.approx(count * 3 * (size - 1) * (1e-3 * a / s) ** 2, rel=0.05)


@pytest.mark.parametrize("loss", ["kabsch", "pairwise"])
@pytest.mark.parametrize("weighting", ["vlb", "min_snr"])
def test_weighted_losses_do_not_depend_on_what_is_predicted(exact, loss, weighting):
    found = noised(exact, weighting=weighting)
    wrong = guess(found, exact)
    one = make(loss, weighting=weighting).loss(wrong, found, exact).total
    other = make(loss, weighting=weighting, predicts="clean")
    clean = other.corrupt(exact["pos"], TIMES, exact, Randomness(0, "noised"))
    seen = make().view(wrong, found.x_t, TIMES, exact).clean
    assert torch.allclose(one, other.loss(seen, clean, exact).total, rtol=1e-3)


# --- gradients -------------------------------------------------------------------------------------------------------


def gradient(transport: Transport, output: Tensor, found: Corrupted, batch: Batch) -> Tensor:
    output = output.clone().requires_grad_()
    (grad,) = torch.autograd.grad(transport.loss(output, found, batch).total.sum(), output)
    return grad


@pytest.mark.parametrize("loss", LOSSES)
def test_gradients_agree_with_finite_differences(exact, loss):
    batch, t = exact, torch.tensor([100, 400, 700])
    found = noised(batch, t)
    wrong = guess(found, batch, 0.7)
    grad = gradient(make(loss), wrong, found, batch)
    way = Randomness(3, "way").normal_rows(batch)
    step = 0.05

    def total(k: float) -> Tensor:
        return make(loss).loss(wrong + k * step * way, found, batch).total.double()

    numeric = (8 * (total(1) - total(-1)) - (total(2) - total(-2))) / (12 * step)
    assert torch.allclose(batch.sum(grad * way).sum(-1), numeric, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("loss", ["kabsch", "pairwise"])
def test_padding_and_layout_change_neither_value_nor_gradient(molecules, loss):
    transport = make(loss)
    found = noised(molecules)
    wrong = guess(found, molecules)
    value, grad = transport.loss(wrong, found, molecules).total, gradient(transport, wrong, found, molecules)
    for width in (9, 15):
        padded = molecules.to_layout("padded", width)
        wide = noised(padded)
        junk = torch.where(padded.mask()[..., None], guess(wide, padded), 7.0)
        assert torch.allclose(transport.loss(junk, wide, padded).total, value, rtol=1e-5)
        found_grad = gradient(transport, junk, wide, padded)
        assert torch.allclose(padded.rows(found_grad), grad, rtol=1e-4, atol=1e-5)
        assert not found_grad[~padded.mask()].any()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("predicts", ["noise", "clean"])
@pytest.mark.parametrize("layout", ["flat", "padded"])
def test_gradients_are_finite_in_degenerate_structures(loss, predicts, layout):
    """A single atom, two atoms, a line, a plane, atoms on one spot; predictions as degenerate as they."""
    line = torch.tensor([[0.0, 0, 0], [0, 0, 1.1], [0, 0, 2.3]])
    plane = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 1, 0]])
    spot = torch.ones(3, 3)
    pos = torch.cat([line[:1], line[:2], line, plane, spot])
    sizes = torch.tensor([1, 2, 3, 4, 3])
    batch = Batch({"pos": pos, "item": torch.arange(5)}, {"atom": sizes}).to_layout(layout)
    transport = make(loss, predicts=predicts)
    found = noised(batch, torch.tensor([0, 999, 500, 0, 999]), predicts=predicts)
    collapsed = as_output(torch.zeros_like(found.x_t).double(), found, batch, predicts).float()
    for output in (found.target, collapsed, torch.zeros_like(found.target), guess(found, batch)):
        sums = transport.loss(output, found, batch)
        assert sums.total.isfinite().all()
        assert gradient(transport, output, found, batch).isfinite().all()
    assert sums.total[0] == pytest.approx(0.0, abs=1e-6)  # one atom has nothing to get wrong


def test_pairwise_error_of_two_atoms():
    batch = Batch({"pos": torch.zeros(2, 3), "item": torch.zeros(1)}, {"atom": torch.tensor([2])})
    one = torch.tensor([[0.0, 0, 0], [0, 0, 3]])
    other = torch.tensor([[0.0, 4, 0], [0, 4, 1]])
    assert pairwise_error(one, other, batch).item() == pytest.approx(3 / 2 * (3 - 1) ** 2)


def test_unknown_losses_are_refused():
    with pytest.raises(ValueError, match=r"transport.loss='l1'"):
        make("l1")


def test_factor_of_the_structure_is_that_of_the_noise(exact):
    """A displaced structure costs (a / s)^2 times its own squared error where noise is predicted."""
    found = noised(exact, torch.full((3,), 200))
    a, s = (value.item() for value in PATH.at(torch.tensor(200)))
    clean = centre(exact["pos"], exact)
    wrong = as_output(clean * 1.01, found, exact, "noise")
    for loss in ("mse", "kabsch"):
        total = make(loss).loss(wrong, found, exact).total.double()
        assert torch.allclose(total, (a / s) ** 2 * exact.sum((0.01 * clean).square()).sum(-1), rtol=1e-3)
    assert math.isclose((a / s) ** 2, PATH.table["alpha_bar"][200].item() / (1 - PATH.table["alpha_bar"][200].item()))
