"""Measurements in words and scalars."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from hydramol.core.results import Results
from hydramol.evaluation import summary
from hydramol.evaluation.denoising import Denoising, NoiseLossRow
from hydramol.evaluation.distributions import compare


def test_noise_prediction():
    rows = [
        NoiseLossRow(-math.inf, math.inf, 30, 0.4, 0.95, 0.6),
        NoiseLossRow(0, 100, 10, 0.8, 0.95, 0.9),
        NoiseLossRow(100, 500, 20, 0.3, 0.95, 0.5),
        NoiseLossRow(500, 600, 0, math.nan, math.nan, math.nan),
    ]
    found = summary.noise_prediction(rows)
    assert found.scalars["noise_loss_vs_linear"] == pytest.approx(2 / 3)
    (table,) = found.sections[0].tables
    assert [row[0] for row in table.rows] == ["all", "0 to 99", "100 to 499"]
    assert [series.x for series in found.sections[0].plots[0].series] == [[50.0, 300.0]] * 3


def test_denoising():
    one = Denoising(
        100, torch.tensor([0.4, 0.2]), torch.tensor([0.1, 0.1]), torch.tensor([90, 110]), torch.tensor([True, False]),
        {"published": torch.tensor([-1, -1]), "robust": torch.tensor([90, -1])},
    )  # fmt: skip
    found = summary.denoising([one])
    assert found.scalars["denoising_t100_reduction"] == pytest.approx(100 * (1 - 0.1 / 0.3))
    table, rules = found.sections[0].tables
    assert table.rows == [[100, 2, 0.3, 0.1, 0.2, 0.1, 66.7, 0.375, 100.0, 50.0]]
    assert rules.rows == [["from t = 100", "published", 0.0, "never"], ["from t = 100", "robust", 50.0, 90.0]]
    assert found.scalars["denoising_t100_ratio"] == pytest.approx(0.375)
    assert found.scalars["denoising_t100_steps"] == 100


def test_generated_structures_name_rule_condition_and_ceiling():
    found = summary.generated_structures(
        {"atom_stable": 0.9, "valid": 0.5}, {"atom_stable": 0.994, "valid": 1.0}, 32, 200
    )
    section = found.sections[0]
    assert "composition-conditioned" in section.heading
    assert "EDM" in section.heading
    assert section.tables[0].rows == [["generated", 32, 90.0, 50.0], ["real", 200, 99.4, 100.0]]
    assert found.scalars == {
        "generated_atom_stable": 0.9, "generated_valid": 0.5, "data_atom_stable": 0.994, "data_valid": 1.0,
    }  # fmt: skip


def test_distances_and_angles():
    data = {"C-H": np.linspace(1, 1.2, 100), "C-C": np.linspace(1.4, 1.6, 50)}
    samples = {"C-H": data["C-H"] + 0.3}
    found = summary.distances_and_angles(compare(samples, data), [])
    assert found.scalars["distance_w1"] == pytest.approx(0.3)  # the pair without samples has no distance
    assert "angle_w1" not in found.scalars
    assert [row[0] for row in found.sections[0].tables[0].rows] == ["C-H", "C-C"]
    for series in found.sections[0].plots[0].series:
        assert len(series.x) == len(series.y) + 1


def test_equivariance():
    found = summary.equivariance({100: torch.tensor([0.1, 0.3]), 300: torch.tensor([0.2, 0.2])})
    assert found.scalars == {"equivariance_error": pytest.approx(0.2)}
    assert found.sections[0].tables[0].rows == [[100, 2, 20.0, 30.0], [300, 2, 20.0, 20.0]]


def test_join_and_json():
    parts = [
        summary.equivariance({1: torch.tensor([0.1])}),
        summary.denoising([Denoising(5, torch.ones(2), torch.ones(2), torch.ones(2), torch.ones(2) > 0)]),
    ]
    joined = summary.join(parts)
    assert [section.heading for section in joined.sections] == ["Equivariance", "Denoising"]
    assert Results.from_dict(json.loads(json.dumps(joined.to_dict()))) == joined
    with pytest.raises(ValueError, match="equivariance_error"):
        summary.join([parts[0], parts[0]])
