"""Removing the centre of geometry."""

from __future__ import annotations

import torch

from hydramol.geometry.centring import centre


def test_centre_has_zero_mean_and_keeps_differences(molecules):
    x = molecules["pos"].double() + 7.0
    centred = centre(x, molecules)
    assert molecules.mean(centred).abs().max() < 1e-14
    shift = x - centred
    assert (shift - molecules.spread(molecules.mean(x))).abs().max() < 1e-14


def test_mean_is_taken_in_double_precision(molecules):
    far = molecules["pos"] + 1e6  # a float32 sum would be wrong by far more than the rounding of the input
    expected = centre(far.double(), molecules)
    centred = centre(far, molecules)
    assert centred.dtype == torch.float32
    assert (centred.double() - expected).abs().max() < 1e-7 * expected.abs().max()


def test_layouts_agree_and_padding_stays_zero(molecules):
    padded = molecules.to_layout("padded", width=12)
    garbage = padded["pos"] + 100.0 * ~padded.mask()[..., None]
    centred = centre(garbage, padded)
    assert torch.allclose(padded.rows(centred), centre(molecules["pos"], molecules), atol=1e-6)
    assert (centred[~padded.mask()] == 0).all()
