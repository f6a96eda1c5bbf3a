"""Curves and their groups, structure files, formulas."""

from __future__ import annotations

import numpy as np
import pytest

from hydramol.core.errors import DataError
from hydramol.core.results import Structures
from hydramol.report.molecules import color, read_cards, scene
from hydramol.report.plots import draw_curves, group_curves
from hydramol.report.read_run import Curve, read_curves, read_run
from tests.report.run_directory import make_run


def test_curves_are_read_from_sparse_columns(tmp_path):
    run = make_run(tmp_path / "run")
    curves = read_curves(run / "metrics.csv")
    assert curves["train/loss"] == Curve([0, 1, 2, 3], [1.0, 0.8, 0.6, 0.5])
    assert curves["val/loss"] == Curve([1, 3], [0.7, 0.55])
    assert set(curves) == {"train/loss", "val/loss", "val/loss_linear_guess", "lr-AdamW"}


def test_curves_without_steps_are_drawn_over_epochs(tmp_path):
    (tmp_path / "metrics.csv").write_text("epoch,a\n0,1\n1,2\n")
    assert read_curves(tmp_path / "metrics.csv") == {"a": Curve([0, 1], [1, 2])}


def test_scalars_of_a_run(tmp_path):
    run = read_run(make_run(tmp_path / "run"))
    assert run.scalars["val/loss"] == 0.55
    assert np.isnan(run.scalars["test/loss"])
    assert run.overrides == ["optimizer.lr=3e-4", "net=painn"]
    assert list(run.evaluations) == ["evaluation_test"]
    assert list(run.samples) == ["first"]


def test_metrics_of_one_quantity_share_axes():
    names = ["train/loss", "val/loss", "val/loss_linear_guess", "lr-AdamW", "train/time_mae", "val/time_mae"]
    assert group_curves(names) == {
        "loss": ["train/loss", "val/loss", "val/loss_linear_guess"],
        "lr-AdamW": ["lr-AdamW"],
        "time_mae": ["train/time_mae", "val/time_mae"],
    }


def test_long_curves_stay_small():
    rng = np.random.default_rng(0)
    curve = Curve(list(range(100_000)), list(rng.normal(size=100_000)))
    assert len(draw_curves({"train/loss": curve}, "loss", "p0")) < 60_000


@pytest.mark.parametrize("values", [[float("nan")] * 3, [], [0.0, 0.0], [float("inf"), 1.0, 2.0]])
def test_odd_curves_are_drawn(values):
    assert draw_curves({"a": Curve(list(range(len(values))), values)}, "a", "p0").startswith("<svg")


def test_files_of_others_are_grouped_by_labels(tmp_path):
    from ase import Atoms
    from ase.io import write

    frames = [Atoms("CO", [[0, 0, 0], [1.1 + k, 0, 0]]) for k in range(5)]
    write(tmp_path / "a.xyz", frames, format="extxyz")
    cards = read_cards(tmp_path / "a.xyz", Structures("a.xyz", ["before", "after"], captions=["one"]))
    assert [[cell.label for cell in card.cells] for card in cards] == [
        ["before", "after"],
        ["before", "after"],
        ["before"],
    ]
    assert [card.caption for card in cards] == ["one", "", ""]
    assert cards[1].cells[0].frames == [[[0, 0, 0], [3.1, 0, 0]]]


def test_our_own_files_come_back(tmp_path):
    from hydramol.evaluation.structures import write_structures
    from tests.conftest import random_molecules

    batch = random_molecules([4, 7])
    path = [batch.with_fields(pos=batch["pos"] + 0.1 * step) for step in (0, 1, 2, 2)]  # at rest in the end
    write_structures(tmp_path / "a.extxyz", {"path": path, "real": batch}, ["first", "second"])
    cards = read_cards(tmp_path / "a.extxyz", Structures("a.extxyz", ["path", "real"]))
    assert [card.caption for card in cards] == ["first", "second"]
    assert [[len(cell.frames) for cell in card.cells] for card in cards] == [[3, 1], [3, 1]]
    assert len(scene(cards)["cards"][1]["cells"][0]["frames"][0]) == 21


def test_missing_structures(tmp_path):
    with pytest.raises(DataError, match="could not be read"):
        read_cards(tmp_path / "none.xyz", Structures("none.xyz", []))


def test_every_element_has_a_colour():
    from ase.data import chemical_symbols

    assert all(len(color(symbol)) == 7 for symbol in chemical_symbols[1:])
