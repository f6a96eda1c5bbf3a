"""Bounds in words and scalars."""

from __future__ import annotations

import math

import pytest
import torch

from hydramol.evaluation.likelihood import likelihood
from hydramol.transport.likelihood import Bound


def bound(decoder: float) -> dict[str, torch.Tensor]:
    prior, steps = torch.tensor([0.0, 2.0]), torch.tensor([10.0, 20.0])
    return Bound(prior, steps, torch.full((2,), decoder), torch.tensor([3.0, 4.0]), torch.tensor([6, 12]))._asdict()


def test_averages():
    found = likelihood(bound(-4.0), bound(1.0))
    assert found.scalars["nll_nats"] == pytest.approx((6 + 18) / 2)
    assert found.scalars["nll_bits_per_dimension"] == pytest.approx(24 / (18 * math.log(2)))
    assert found.scalars["nll_nats_linear"] == pytest.approx(17)
    (table,) = found.sections[0].tables
    assert table.rows[0] == ["model", 2, 12.0, 2.5, pytest.approx(1.924), 1.0, 15.0, -4.0]
    assert [len(row) for row in table.rows] == [len(table.columns)] * 2


def test_atoms_alone_have_no_dimensions():
    nothing = Bound(*(torch.zeros(1) for _ in range(4)), torch.tensor([0]))._asdict()
    assert math.isnan(likelihood(nothing, nothing).scalars["nll_bits_per_dimension"])
