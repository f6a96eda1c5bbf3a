"""Superposition of structures."""

from __future__ import annotations

import math

import pytest
import torch
from scipy.spatial.transform import Rotation

from hydramol.core.randomness import Randomness
from hydramol.geometry.kabsch import kabsch, kabsch_align, kabsch_rmsd
from hydramol.geometry.rotations import random_rotations, reflection_matrix, rotate_rows


@pytest.fixture
def padded(molecules):
    return molecules.with_fields(pos=molecules["pos"].double()).to_layout("padded", width=11)


def moved(batch, random):
    turned = rotate_rows(batch["pos"], random_rotations(batch, random), batch)
    return turned + torch.tensor([1.0, -2.0, 30.0], dtype=torch.float64)


def test_rigid_motions_are_undone(padded):
    other = moved(padded, Randomness(0, "move"))
    assert kabsch_rmsd(padded["pos"], other, padded.mask()).max() < 1e-12
    aligned = kabsch_align(padded["pos"], other, padded.mask())
    assert (padded.rows(aligned) - padded.rows(other)).abs().max() < 1e-12
    assert (aligned[~padded.mask()] == 0).all()


def test_agrees_with_scipy_on_unlike_structures(padded):
    b = moved(padded, Randomness(1, "move")) + 0.5 * Randomness(0, "noise").normal_rows(padded)
    rmsd = kabsch_rmsd(padded["pos"], b, padded.mask())
    for number, size in enumerate(padded.sizes["atom"].tolist()):
        x, y = (z[number, :size].numpy() for z in (padded["pos"], b))
        x, y = x - x.mean(0), y - y.mean(0)
        _, distance = Rotation.align_vectors(y, x)
        assert rmsd[number].item() == pytest.approx(distance / math.sqrt(size), rel=1e-9)


def test_padding_has_no_effect(padded):
    b = moved(padded, Randomness(1, "move")) + 0.5 * Randomness(0, "noise").normal_rows(padded)
    garbage = ~padded.mask()[..., None] * float("nan")
    spoiled = torch.where(padded.mask()[..., None], padded["pos"], garbage)
    assert torch.equal(kabsch_rmsd(spoiled, b, padded.mask()), kabsch_rmsd(padded["pos"], b, padded.mask()))


def test_mirror_images_only_on_request(padded):
    mirror = reflection_matrix(torch.tensor([0.3, 1.0, -0.2], dtype=torch.float64)).expand(len(padded), 3, 3)
    image = rotate_rows(padded["pos"], mirror, padded)
    proper = kabsch_rmsd(padded["pos"], image, padded.mask())
    assert (proper[:2] > 0.1).all()
    assert proper[2] < 1e-12  # three atoms lie in a plane and equal their mirror image
    assert kabsch_rmsd(padded["pos"], image, padded.mask(), allow_reflection=True).max() < 1e-12
    assert torch.allclose(
        torch.linalg.det(kabsch(padded["pos"], image, padded.mask()).rotation), torch.ones(3, dtype=torch.float64)
    )


def test_gradient_is_exact_and_finite_at_a_match(padded):
    a = padded["pos"][:2].clone().requires_grad_()
    b = a.detach() + 0.3 * torch.randn(a.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mask = padded.mask()[:2]
    assert torch.autograd.gradcheck(lambda x: kabsch_rmsd(x, b, mask), a)
    (gradient,) = torch.autograd.grad(kabsch_rmsd(a, a.detach(), mask).sum(), a)
    assert gradient.isfinite().all()
    flat = torch.zeros(1, 4, 3, dtype=torch.float64, requires_grad=True)  # all singular values coincide
    target = torch.zeros(1, 4, 3, dtype=torch.float64) + torch.arange(4.0)[None, :, None]
    (gradient,) = torch.autograd.grad(kabsch_rmsd(flat, target, torch.ones(1, 4, dtype=torch.bool)).sum(), flat)
    assert gradient.isfinite().all()


def test_broken_structure_spoils_only_itself(padded):
    broken = padded["pos"].clone()
    broken[1, 0, 0] = float("nan")
    rmsd = kabsch_rmsd(broken, padded["pos"], padded.mask())
    assert rmsd[1].isnan()
    assert rmsd[[0, 2]].max() < 1e-12
