"""Numbers of relaxations against values worked out by hand, and controls that find known minima."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from hydramol.core.batch import Batch
from hydramol.core.randomness import Randomness
from hydramol.core.units import factor
from hydramol.evaluation.relaxation import Measures, measure
from hydramol.evaluation.relaxation_controls import Relaxed, gfn2_energies, gfn2_relaxed, mmff_relaxed
from hydramol.evaluation.relaxation_results import Course, course_of_relaxation, relaxation_results
from tests.conftest import random_molecules
from tests.evaluation.test_mmff import batch_of


def measures(
    before: list[float], after: list[float], energy: list[float] | None = None, name: str = "model"
) -> Measures:
    one, other = (torch.tensor(values, dtype=torch.float64) for values in (before, after))
    known = None if energy is None else torch.tensor(energy, dtype=torch.float64)
    return Measures(name, one, other, other, torch.ones(len(before), dtype=torch.bool), 1.0, known)


def test_scores_by_hand() -> None:
    found = measures([0.1, 0.4], [0.04, 0.24], [1.0, 3.0]).scores()
    assert found["rmsd_after"] == pytest.approx(0.14)
    assert found["rmsd_ratio"] == pytest.approx((0.4 + 0.6) / 2)
    assert found["rmsd_ratio_of_means"] == pytest.approx(0.28 / 0.5)
    assert [found[f"below_{limit}"] for limit in ("0.05", "0.1", "0.25")] == [0.5, 0.5, 1.0]
    assert found["halved"] == 0.5
    assert found["energy"] == pytest.approx(2.0 * factor("eV", "kcal/mol"))


def test_what_gave_nothing_is_no_success_and_enters_no_mean() -> None:
    found = measures([0.1, 0.4], [0.04, math.nan]).scores()
    assert found["n_failed"] == 1
    assert found["rmsd_after"] == pytest.approx(0.04)
    assert found["rmsd_ratio_of_means"] == pytest.approx(0.4)
    assert found["below_0.25"] == 0.5


def test_a_start_at_the_minimum_has_no_ratio() -> None:
    found = measures([0.0, 0.2], [0.01, 0.1])
    assert found.ratio.isnan().tolist() == [True, False]
    assert found.scores()["rmsd_ratio"] == pytest.approx(0.5)


def test_rmsd_of_a_shifted_and_stretched_copy() -> None:
    minima = random_molecules([4, 6], dtype=torch.float64)
    start = minima.with_fields(pos=minima["pos"] + torch.tensor([1.0, 2.0, 3.0]))
    done = Relaxed("model", minima, torch.ones(2, dtype=torch.bool), 0.1)
    found = measure(done, None, start, minima, Randomness(0, "test"))
    assert torch.allclose(found.before, torch.zeros(2, dtype=torch.float64), atol=1e-7)
    moved = minima.with_fields(pos=minima["pos"] * 1.1)
    found = measure(done, None, moved, minima, Randomness(0, "test"))
    size = (minima["pos"] - minima.spread(minima.mean(minima["pos"]))).square().sum(-1, keepdim=True)
    assert torch.allclose(found.before, 0.1 * minima.mean(size)[:, 0].sqrt(), atol=1e-9)
    assert torch.allclose(found.after, torch.zeros(2, dtype=torch.float64), atol=1e-7)


def test_exchanged_hydrogens_are_no_distance_once_matched() -> None:
    water = batch_of("H2O")
    flipped = water.with_fields(pos=water["pos"][torch.tensor([0, 2, 1])] + 0.0)
    methane = batch_of("CH4")
    exchanged = methane.with_fields(pos=methane["pos"][torch.tensor([0, 2, 1, 3, 4])])
    for one, other, labelled in ((water, flipped, 0.0), (methane, exchanged, 0.5)):
        done = Relaxed("model", other, torch.ones(1, dtype=torch.bool), 0.1)
        found = measure(done, None, one, one, Randomness(0, "test"))
        assert float(found.matched) == pytest.approx(0.0, abs=1e-6)
        assert float(found.after) >= labelled


def displaced(batch: Batch, by: float) -> Batch:
    noise = Randomness(3, "displace").normal_rows(batch)
    return batch.with_fields(pos=batch["pos"] + by * noise)


def test_controls_find_the_minimum() -> None:
    pytest.importorskip("tblite.ase")
    minima = gfn2_relaxed(batch_of("H2O", "CH4")).structures
    start = displaced(minima, 0.08)
    random = Randomness(0, "test")
    lowest = gfn2_energies(minima)
    for relaxed, near, high in ((gfn2_relaxed(start), 0.01, 1e-3), (mmff_relaxed(start, minima), 0.06, 0.2)):
        found = measure(relaxed, gfn2_energies(relaxed.structures), start, minima, random, lowest)
        assert found.converged.all()
        assert (found.after < near).all()
        assert (found.after < found.before).all()
        assert found.energy is not None
        assert (found.energy > -1e-5).all()
        assert (found.energy < high).all()


def test_broken_structures_give_nothing_and_harm_no_other() -> None:
    batch = batch_of("H2O", "CH4")
    pos = batch["pos"].clone()
    pos[0, 0] = math.nan
    relaxed = mmff_relaxed(batch.with_fields(pos=pos), topology=batch)
    assert relaxed.converged.tolist() == [False, True]
    found = measure(relaxed, None, batch, batch, Randomness(0, "test"))
    assert found.after.isfinite().tolist() == [False, True]


def course(stopped: dict[str, Tensor]) -> Course:
    return Course(torch.tensor([10, 30]), torch.tensor([True, False]), torch.tensor([0.1, 0.3]), 40, 2.0, stopped)


def test_rules_stand_side_by_side() -> None:
    found = course_of_relaxation(course({"published": torch.tensor([-1, -1]), "robust": torch.tensor([9, -1])}))
    assert found.scalars["relaxation_robust_rule_met"] == 0.5
    assert found.scalars["relaxation_published_rule_met"] == 0.0
    (_, rules) = found.sections[0].tables
    assert rules.rows == [["published", 0.0, None, None], ["robust", 50.0, 9.0, 9.0]]


def test_samplers_without_rules_have_no_table_of_them() -> None:
    found = course_of_relaxation(course({}), remarks=["structure 3: left out"])
    assert [table.columns[0] for table in found.sections[0].tables] == ["structures", "remarks"]
    assert found.scalars["relaxation_steps"] == 20


def test_methods_stand_side_by_side_and_the_page_can_draw_them() -> None:
    from hydramol.report import plots

    methods = [measures([0.1, 0.4], [0.04, math.nan], [0.1, math.nan]), measures([0.1, 0.4], [0.0, 0.1], name="GFN2")]
    found = relaxation_results(methods, "Minima: known.")
    nearness, energies = found.sections[0].tables
    assert [row[0] for row in nearness.rows] == ["start", "model", "GFN2"]
    assert all(len(row) == len(nearness.columns) for row in nearness.rows)
    assert [row[:2] for row in energies.rows] == [["model", 1]]
    assert found.scalars["relaxation_gfn2_rmsd_after"] == pytest.approx(0.05)
    for number, plot in enumerate(found.sections[0].plots):
        assert plots.draw(plot, f"p{number}").startswith("<svg")
