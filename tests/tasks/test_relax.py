"""Relaxation with a model that knows the minima: what comes out, what is told, and what bad input costs."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ase.io
import pytest
import torch
from ase import Atoms
from torch import Tensor

from hydramol.core.batch import Batch
from hydramol.core.errors import ConfigError, DataError
from hydramol.core.protocols import Output
from hydramol.core.randomness import Randomness
from hydramol.evaluation.structures import write_structures
from hydramol.geometry.kabsch import kabsch_align
from hydramol.samplers.ddpm import DDPM
from hydramol.samplers.morered_adaptive import MoreRedAdaptive
from hydramol.tasks.generate import Generate
from hydramol.tasks.inputs import Inputs
from hydramol.tasks.outcome import Outcome
from hydramol.tasks.relax import Relax
from hydramol.transport.discrete_path import DiscretePath
from hydramol.transport.prior import CentredGaussian
from hydramol.transport.transport import Transport
from tests.conftest import random_molecules

MINIMA = random_molecules([5, 3, 4, 6])


class KnowsMinima:
    """A joint model whose clean structure is always the minimum, turned as the structure in hand is."""

    def __init__(self, sampler: Any, minima: Batch = MINIMA) -> None:
        self.transport = Transport(DiscretePath(n_steps=200), CentredGaussian())
        self.sampler = sampler
        self.minima = minima
        self.statistics = {"composition_z": torch.tensor([1, 6, 7, 8, 9]), "composition_sizes": torch.tensor([6])}
        self.net = SimpleNamespace(max_z=20)
        self.device = torch.device("cpu")
        self.time_head = object()

    def denoise(self, x: Tensor, t: Tensor | None, condition: Batch) -> Output:
        batch = condition.with_fields(pos=x).to_layout("padded")
        goal = self.minima.select(condition["item"]).to_layout("padded")
        goal = kabsch_align(goal["pos"], batch["pos"], batch.mask())
        goal = condition.like(batch.rows(goal), condition.layout)
        far = condition.mean((x - goal).square().mean(-1, keepdim=True))[:, 0].sqrt()
        scales = self.transport.path.at(torch.arange(200))[1]
        seen = torch.searchsorted(scales, far.double()).clamp(max=199)
        a, s = (condition.spread(value)[:, None] for value in self.transport.path.at(seen if t is None else t))
        return Output((x - a * goal) / s, seen / 199)


def displaced(by: float = 0.1) -> Batch:
    noise = Randomness(1, "displace").normal_rows(MINIMA)
    return MINIMA.with_fields(pos=MINIMA["pos"] + by * noise)


@pytest.fixture
def files(tmp_path: Path) -> Inputs:
    """Displaced structures and their minima."""
    write_structures(tmp_path / "start.xyz", {"start": displaced()})
    write_structures(tmp_path / "minima.xyz", {"minima": MINIMA})
    return Inputs(str(tmp_path / "start.xyz"), str(tmp_path / "minima.xyz"))


def relax(inputs: Inputs, sampler: Any = None, **options: Any) -> Outcome:
    sampler = DDPM() if sampler is None else sampler
    return Relax(t_start=50, **options).sample(KnowsMinima(sampler), Randomness(0, "sample"), inputs)


def result(outcome: Outcome) -> Batch:
    found = outcome.structures["relaxed.extxyz"].structures["relaxed"]
    assert isinstance(found, Batch)
    return found


@pytest.mark.parametrize("sampler", [DDPM(), MoreRedAdaptive(stop="robust", max_steps=300, window=5)])
def test_structures_come_to_the_minimum(files: Inputs, sampler: Any) -> None:
    outcome = relax(files, sampler)
    scalars = outcome.results.scalars
    assert scalars["relaxation_model_rmsd_before"] > 0.1
    assert scalars["relaxation_model_rmsd_after"] < 1e-3
    assert scalars["relaxation_model_halved"] == 1.0
    assert scalars["relaxation_converged"] == 1.0
    assert scalars["relaxation_time_end"] < scalars["relaxation_time_start"]
    assert outcome.main == "relaxed.extxyz"


def test_the_adaptive_sampler_tells_both_rules(files: Inputs) -> None:
    scalars = relax(files, MoreRedAdaptive(stop="robust", max_steps=300, window=5)).results.scalars
    assert scalars["relaxation_robust_rule_met"] == 1.0
    assert "relaxation_published_rule_met" in scalars


def test_results_lie_on_their_starts(files: Inputs) -> None:
    """The sampler centres structures; the user gets them back where they were."""
    start = displaced()
    moved = start.with_fields(pos=start["pos"] + 20.0)
    assert files.input is not None
    write_structures(Path(files.input), {"start": moved})
    found = result(relax(files))
    assert torch.allclose(found.mean(found["pos"]), moved.mean(moved["pos"]).double(), atol=1e-4)
    assert (found["pos"] - moved["pos"]).norm(dim=-1).max() < 1.0


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_batch_size_and_order_change_nothing(files: Inputs, batch_size: int) -> None:
    one, other = result(relax(files, batch_size=2)), result(relax(files, batch_size=batch_size))
    assert torch.equal(one["z"], other["z"])
    assert one["item"].tolist() == [0, 1, 2, 3]
    assert torch.allclose(one["pos"], other["pos"], atol=1e-6)


def test_the_file_says_how_it_went(files: Inputs, tmp_path: Path) -> None:
    found = relax(files).structures["relaxed.extxyz"]
    write_structures(tmp_path / "out.extxyz", found.structures, found.captions, found.info)
    frames = ase.io.read(tmp_path / "out.extxyz", index=":")
    assert [int(one.info["structure"]) for one in frames] == [0, 1, 2, 3]
    for one in frames:
        assert one.info["steps"] == 50
        assert one.info["converged"]
        assert one.info["rmsd_to_reference"] < 1e-3 < one.info["rmsd_to_reference_at_start"]
        assert one.info["rmsd_to_start"] > 0.05
        assert 0 <= one.info["predicted_time_end"] < one.info["predicted_time_start"] < 1


def test_trajectories_lead_from_start_to_result(files: Inputs, tmp_path: Path) -> None:
    outcome = relax(files, DDPM(record_every=10), n_shown=2)
    for name in ("trajectories.extxyz", "shown.extxyz"):
        found = outcome.structures[name]
        write_structures(tmp_path / name, found.structures, found.captions, found.info)
    frames = ase.io.read(tmp_path / "trajectories.extxyz", index=":")
    assert len(frames) == 4 * (5 + 1)
    start, end = displaced().select(torch.tensor([0])), result(outcome).select(torch.tensor([0]))
    assert torch.allclose(torch.tensor(frames[0].positions), start["pos"].double(), atol=1e-4)
    assert torch.allclose(torch.tensor(frames[5].positions), end["pos"], atol=1e-4)
    labels = [one.info["label"] for one in ase.io.read(tmp_path / "shown.extxyz", index=":")]
    assert labels == 2 * ["start", *6 * ["relaxed"], "reference"]


def test_without_references_there_is_no_comparison(files: Inputs) -> None:
    outcome = relax(Inputs(files.input))
    assert not any("model" in name for name in outcome.results.scalars)
    assert "rmsd_to_reference" not in outcome.structures["relaxed.extxyz"].info[0]
    assert list(outcome.structures["shown.extxyz"].structures) == ["start", "relaxed"]


def test_controls_start_where_the_model_does(tmp_path: Path) -> None:
    pytest.importorskip("tblite.ase")
    from tests.evaluation.test_mmff import batch_of

    minima = batch_of("H2O", "CH4")
    noise = Randomness(1, "displace").normal_rows(minima)
    write_structures(tmp_path / "start.xyz", {"start": minima.with_fields(pos=minima["pos"] + 0.1 * noise)})
    task = Relax(t_start=50, controls={"gfn2": True, "mmff": True}, energies=True)
    model = KnowsMinima(DDPM(), minima)
    write_structures(tmp_path / "minima.xyz", {"minima": minima})
    inputs = Inputs(str(tmp_path / "start.xyz"), str(tmp_path / "minima.xyz"))
    scalars = task.sample(model, Randomness(0, "sample"), inputs).results.scalars
    before = {scalars[f"relaxation_{name}_rmsd_before"] for name in ("model", "gfn2", "mmff94")}
    assert len(before) == 1
    assert scalars["relaxation_gfn2_energy"] == pytest.approx(0.0, abs=0.05)
    assert scalars["relaxation_model_energy"] > 0.0
    # Without references GFN2 says where the minimum is.
    alone = task.sample(model, Randomness(0, "sample"), Inputs(inputs.input)).results.scalars
    assert alone["relaxation_model_rmsd_after"] < 0.05
    assert "relaxation_gfn2_rmsd_after" not in alone


# --- bad input --------------------------------------------------------------------------------------------------------


def write(path: Path, *molecules: Atoms) -> Inputs:
    ase.io.write(path, molecules)
    return Inputs(str(path))


def remarks(outcome: Outcome) -> list[str]:
    tables = [table for table in outcome.results.sections[0].tables if table.columns == ["remarks"]]
    return [row[0] for table in tables for row in table.rows]


def first() -> Atoms:
    one = MINIMA.select(torch.tensor([0]))
    return Atoms(one["z"].numpy(), one["pos"].numpy())


def test_a_single_atom_is_returned_and_told(tmp_path: Path) -> None:
    outcome = relax(write(tmp_path / "a.xyz", first(), Atoms("O", [[1.0, 2.0, 3.0]])))
    found = result(outcome)
    assert found.sizes["atom"].tolist() == [5, 1]
    assert torch.allclose(found["pos"][-1], torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))
    assert remarks(outcome) == ["structure 1: a single atom, returned as it is"]
    assert outcome.results.scalars["relaxation_n"] == 1


def test_single_atoms_alone(tmp_path: Path) -> None:
    found = result(relax(write(tmp_path / "a.xyz", Atoms("O", [[1.0, 2.0, 3.0]]))))
    assert torch.allclose(found["pos"], torch.tensor([[1.0, 2.0, 3.0]], dtype=torch.float64))


def test_an_element_beyond_the_net_is_left_out(tmp_path: Path) -> None:
    outcome = relax(write(tmp_path / "a.xyz", first(), Atoms("ZnO", [[0, 0, 0], [0, 0, 1.8]])))
    assert result(outcome)["item"].tolist() == [0]
    (remark,) = remarks(outcome)
    assert "structure 1: left out: Zn" in remark
    assert "20" in remark
    with pytest.raises(DataError, match="Zn is beyond"):
        relax(write(tmp_path / "b.xyz", Atoms("ZnO", [[0, 0, 0], [0, 0, 1.8]])))


def test_an_element_that_was_not_trained_on_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    strange = first()
    strange.numbers[2] = 17
    with caplog.at_level(logging.WARNING):
        outcome = relax(write(tmp_path / "a.xyz", strange))
    (remark,) = remarks(outcome)
    assert remark.startswith("Cl in structure 0 is not among the elements")
    assert "H, C, N, O, F" in remark
    assert remark in caplog.text
    assert len(result(outcome)) == 1


def test_more_atoms_than_trained_on_are_named(tmp_path: Path) -> None:
    large = random_molecules([9])
    inputs = write(tmp_path / "a.xyz", Atoms(large["z"].numpy(), large["pos"].numpy()))
    model = KnowsMinima(DDPM(), large)
    (remark,) = remarks(Relax(t_start=20).sample(model, Randomness(0, "sample"), inputs))
    assert remark == "structure 0 with up to 9 atoms: the model was trained on at most 6"


def test_a_structure_that_falls_apart_harms_no_other(files: Inputs) -> None:
    class Breaks(KnowsMinima):
        def denoise(self, x: Tensor, t: Tensor | None, condition: Batch) -> Output:
            found = super().denoise(x.nan_to_num(), t, condition)
            return Output(
                torch.where(condition.spread(condition["item"] == 1)[:, None], torch.nan, found.x), found.time
            )

    outcome = Relax(t_start=20).sample(Breaks(DDPM()), Randomness(0, "sample"), files)
    assert remarks(outcome) == ["structure 1: fell apart, returned as it was"]
    found = result(outcome)
    assert found["pos"].isfinite().all()
    assert torch.allclose(
        found.select(torch.tensor([1]))["pos"], displaced().select(torch.tensor([1]))["pos"].double(), atol=1e-4
    )
    assert outcome.results.scalars["relaxation_model_n_failed"] == 1
    assert outcome.results.scalars["relaxation_model_rmsd_after"] < 1e-3
    assert [one["converged"] for one in outcome.structures["relaxed.extxyz"].info] == [True, False, True, True]


def test_references_that_do_not_fit(files: Inputs, tmp_path: Path) -> None:
    one = MINIMA.select(torch.tensor([0]))
    write_structures(tmp_path / "short.xyz", {"minima": one})
    with pytest.raises(DataError, match="1 references for 4 structures"):
        relax(Inputs(files.input, str(tmp_path / "short.xyz")))
    other = MINIMA["z"].clone()
    other[0] = 9 if other[0] != 9 else 8
    write_structures(tmp_path / "other.xyz", {"minima": MINIMA.with_fields(z=other)})
    outcome = relax(Inputs(files.input, str(tmp_path / "other.xyz")))
    assert remarks(outcome) == [
        "the reference of structure 0 is not used: it has other elements, or another order of atoms"
    ]
    assert outcome.results.sections[1].tables[0].rows[1][1] == 3


def test_no_input_is_a_mistake_of_the_command() -> None:
    with pytest.raises(ConfigError, match="give input=<file>"):
        relax(Inputs())


@pytest.mark.parametrize("name", ["input", "reference"])
def test_drawing_reads_no_structures(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}=a.xyz: task=generate reads no structures"):
        Generate().sample(KnowsMinima(DDPM()), Randomness(0, "sample"), Inputs(**{name: "a.xyz"}))


@pytest.mark.parametrize(
    "options", [{"controls": {"xtb": True}}, {"batch_size": 0}, {"t_start": 0}, {"displacement": 0.0}]
)
def test_options_that_mean_nothing(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"task.{next(iter(options))}"):
        Relax(**options)


def test_a_start_beyond_the_path_is_named(files: Inputs) -> None:
    with pytest.raises(ConfigError, match="the path has 200 steps"):
        Relax(t_start=201).sample(KnowsMinima(DDPM()), Randomness(0, "sample"), files)


# --- held-out structures ----------------------------------------------------------------------------------------------


def data(batch: Batch) -> SimpleNamespace:
    return SimpleNamespace(
        loader=lambda split: [batch.select(torch.tensor([0, 1])), batch.select(torch.tensor([2, 3]))]
    )


def test_minima_are_displaced_by_the_stated_length() -> None:
    task = Relax(t_start=50, displacement=0.05)
    outcome = task.evaluate(KnowsMinima(DDPM()), data(MINIMA), "test", Randomness(0, "evaluate"))
    before = outcome.results.scalars["relaxation_model_rmsd_before"]
    assert 0.03 < before < 0.05 * 3**0.5  # superposition takes away some
    assert outcome.results.scalars["relaxation_model_rmsd_after"] < 1e-3
    assert "0.05 Å" in outcome.results.sections[0].text


def test_pairs_are_used_as_they_are() -> None:
    pairs = displaced(0.2).with_fields(pos_reference=MINIMA["pos"])
    outcome = Relax(t_start=50).evaluate(KnowsMinima(DDPM()), data(pairs), "test", Randomness(0, "evaluate"))
    assert outcome.results.scalars["relaxation_model_rmsd_before"] > 0.15
    assert outcome.results.scalars["relaxation_model_rmsd_after"] < 1e-3
