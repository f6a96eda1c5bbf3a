"""Every preset trains, evaluates, reports, and its checkpoint does without anything else."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from hydramol.runtime.checkpoint import read_checkpoint
from tests.conftest import ROOT

PRESETS = sorted(file.stem for file in (ROOT / "configs" / "experiment").glob("*.yaml"))
Door = Callable[..., subprocess.CompletedProcess[str]]
Tiny = Callable[[str], list[str]]


def ok(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


@pytest.mark.run
@pytest.mark.parametrize("preset", PRESETS)
def test_preset(preset: str, door: Door, tiny: Tiny, tmp_path: Path) -> None:
    run = tmp_path / "run"
    said = ok(door("train", *tiny(preset), f"paths.output_dir={run}"))
    assert f"report: {run / 'report.html'}" in said
    for name in (
        "config.yaml",
        "overrides.yaml",
        "metrics.csv",
        "metrics.json",
        "summary.json",
        "evaluation_test.json",
    ):
        assert (run / name).is_file(), name
    scalars = json.loads((run / "metrics.json").read_text())
    predicts_time = yaml.safe_load((run / "config.yaml").read_text())["model"]["heads"] == "time"
    expected = {"time_error"} if predicts_time else {"val/loss_linear_guess", "noise_loss_vs_linear"}
    assert {"val/loss", *expected} <= scalars.keys()
    summary = json.loads((run / "summary.json").read_text())
    assert summary["status"] == "trained"
    assert {"data", "build", "first_batch", "first_step", "fit"} <= summary["timings"].keys()
    assert summary["parameters"]["total"] == sum(v for k, v in summary["parameters"].items() if k != "total")

    # The checkpoint alone, elsewhere: nothing of the run directory or of the data is needed to sample.
    alone = tmp_path / "alone.ckpt"
    (run / "checkpoints" / "best.ckpt").rename(alone)
    assert read_checkpoint(alone)["hydramol"]["config"]["seed"] == 42
    if predicts_time:
        refused = door("sample", f"ckpt={alone}", f"out={tmp_path / 'o'}")
        assert refused.returncode == 2
        assert refused.stderr.count("\n") <= 2
        assert "sampler.time_ckpt" in refused.stderr
        return
    ok(
        door(
            "sample",
            f"ckpt={alone}",
            "sampler=ddpm",
            "sampler.n_samples=3",
            "sampler.max_steps=4",
            f"out={tmp_path / 'o'}",
        )
    )
    assert list((tmp_path / "o").glob("samples/*/generated.extxyz"))
    assert list((tmp_path / "o").glob("samples/*/results.json"))


@pytest.mark.run
def test_after_training(door: Door, tiny: Tiny, tmp_path: Path) -> None:
    """Evaluate, sample again, refuse another model, resume for longer, keep the former metrics."""
    run = tmp_path / "run"
    ok(door("train", *tiny("morered_ddpm_molecules"), f"paths.output_dir={run}", "trainer.max_epochs=1"))
    ok(door("evaluate", f"ckpt={run}", "split=val"))
    assert (run / "evaluation_val.json").is_file()
    ok(door("sample", f"ckpt={run}/checkpoints/best.ckpt", "sampler.n_samples=2"))
    assert list(run.glob("samples/*/generated.extxyz"))

    refused = door("sample", f"ckpt={run}", "net.width=32")
    assert refused.returncode == 2
    assert "net" in refused.stderr
    assert "Traceback" not in refused.stderr

    before = (run / "metrics.csv").read_text().splitlines()
    ok(door("train", f"resume={run}", "trainer.max_epochs=2"))
    after = (run / "metrics.csv").read_text().splitlines()
    assert len(after) > len(before)
    assert read_checkpoint(run / "checkpoints" / "last.ckpt")["epoch"] == 1


@pytest.mark.run
def test_switches(door: Door, tiny: Tiny, tmp_path: Path) -> None:
    """bf16 autocast, no flip, no padding, PaiNN, accumulation, views, workers, profiler, wandb offline."""
    base = [one for one in tiny("morered_ddpm_molecules") if not one.startswith("net.")]
    common = [*base, "trainer.max_epochs=1", "task.n_denoised=0", "task.n_generated=0"]
    ok(
        door(
            "train",
            *common,
            "transform.sample.flip=null",
            "optimizer.lr=3e-4",
            "trainer.precision=bf16-mixed",
            "net.n_layers=1",
            "net.width=16",
            "net.checkpoint_activations=true",
            "data.n_views=2",
            "trainer.accumulate_grad_batches=2",
            "trainer.profiler=simple",
            f"paths.output_dir={tmp_path / 'a'}",
        )
    )
    ok(
        door(
            "train",
            *common,
            "net=painn_small",
            "net.n_atom_basis=8",
            "transform.batch.pad=null",
            "batching=cubic_cost",
            "data.loader.num_workers=1",
            "logger=wandb",
            "transport.path.schedule=cosine",
            f"paths.output_dir={tmp_path / 'b'}",
        )
    )
    summary = json.loads((tmp_path / "a" / "summary.json").read_text())
    assert summary["precision"] == "bf16-mixed"


@pytest.mark.run
def test_multirun(door: Door, tiny: Tiny, tmp_path: Path) -> None:
    common = [*tiny("morered_ddpm_molecules"), "task.n_denoised=0", "task.n_generated=0"]
    ok(
        door(
            "train", "-m", *common, "optimizer.lr=1e-4,3e-4", "trainer.max_epochs=1", f"paths.root={tmp_path / 'sweep'}"
        )
    )
    assert len(list((tmp_path / "sweep").rglob("metrics.json"))) == 2


@pytest.mark.run
def test_denoiser_and_time_predictor_from_two_checkpoints(door: Door, tiny: Tiny, tmp_path: Path) -> None:
    """MoreRed-AS and -ITP: each checkpoint brings its own configuration; those that do not fit are refused."""
    denoiser, predictor, other = (tmp_path / name for name in ("denoiser", "predictor", "other"))
    quick = ["task.n_denoised=0", "task.n_generated=0", "trainer.max_epochs=1"]
    ok(door("train", *tiny("morered_ddpm_molecules"), *quick, f"paths.output_dir={denoiser}"))
    ok(door("train", *tiny("morered_time_molecules"), f"paths.output_dir={predictor}"))
    ok(door("train", *tiny("morered_time_molecules"), "transport.path.n_steps=50", f"paths.output_dir={other}"))
    for sampler in ("morered_as", "morered_itp"):
        given = [f"ckpt={denoiser}", f"sampler={sampler}", "sampler.max_steps=3", "sampler.n_samples=2"]
        ok(door("sample", *given, f"sampler.time_ckpt={predictor}", f"out={tmp_path / sampler}"))
        assert list((tmp_path / sampler).glob("samples/*/generated.extxyz"))
    for wrong, said in (
        (other, "another path"),
        (denoiser, "tells no time"),
        (tmp_path / "none", "no such checkpoint"),
    ):
        refused = door("sample", *given, f"sampler.time_ckpt={wrong}", f"out={tmp_path / 'refused'}")
        assert refused.returncode == 1, refused.stderr
        assert said in refused.stderr
        assert "Traceback" not in refused.stderr
    untold = door("sample", f"ckpt={denoiser}", "sampler=morered_as")
    assert untold.returncode == 2
    assert "sampler.time_ckpt" in untold.stderr


def test_joint_head_wants_the_time_at_the_head(door: Door) -> None:
    refused = door("train", "experiment=morered_jt_molecules", "net=edge_transformer_small", "check=true")
    assert refused.returncode == 2
    assert refused.stderr.count("\n") == 1
    assert "time_at_head" in refused.stderr
    assert "net.time.where=head" in refused.stderr  # how to mend it
    unable = door("train", "sampler=morered_jt", "check=true")
    assert unable.returncode == 2
    assert "model.heads=joint" in unable.stderr


@pytest.mark.run
def test_joint_edge_transformer(door: Door, tiny: Tiny, tmp_path: Path) -> None:
    """The other backbone, with an invariant time by frame averaging, and a likelihood."""
    base = [one for one in tiny("morered_jt_molecules") if not one.startswith("net.")]
    net = ["net=edge_transformer_joint", "net.n_layers=1", "net.width=16", "net.n_rbf=8", "task.n_likelihood=2"]
    ok(door("train", *base, *net, "sampler.frame_averaging=true", f"paths.output_dir={tmp_path / 'run'}"))
    scalars = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert {"time_error", "nll_nats", "nll_bits_per_dimension", "denoising_t5_converged"} <= scalars.keys()
    assert {"gradient_norm/noise", "gradient_norm/time", "val/equivariance_error"} <= scalars.keys()
