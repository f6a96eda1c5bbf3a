"""What the doors do: train, sample, evaluate, prepare. Each works on a composed and checked configuration."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf

from hydramol.core.errors import ConfigError
from hydramol.core.files import write_json, write_text
from hydramol.core.randomness import Randomness
from hydramol.data.datamodule import DataModule
from hydramol.report import write_report
from hydramol.runtime.assemble import assemble_data, assemble_model, describe
from hydramol.runtime.build import build
from hydramol.runtime.callbacks import PhaseTimings
from hydramol.runtime.checkpoint import find_checkpoint, read_checkpoint, run_directory_of
from hydramol.runtime.compose import compose_from, to_plain
from hydramol.runtime.find_batch_size import with_found_batch_size
from hydramol.runtime.load import attach_time_predictor, load_model, load_weights
from hydramol.runtime.save import save_main, save_outcome
from hydramol.runtime.trainer import assemble_trainer, compile_net, quiet, set_numerics
from hydramol.tasks.inputs import Inputs

log = logging.getLogger(__name__)


def train(cfg: DictConfig, overrides: list[str] | None = None) -> dict[str, float]:
    """Trains, evaluates the best weights, and writes the report.

    Args:
        cfg: The configuration; with ``resume=<run directory>`` that run's own is taken and continued.
        overrides: What the user typed, kept beside the configuration and applied again to a resumed run's.

    Returns:
        Scalars of the run by name, "val/loss" among them.
    """
    config, checkpoint = to_plain(cfg), None
    if config.get("resume"):
        config, checkpoint = _resumed(Path(config["resume"]), overrides or [])
    else:
        config = with_found_batch_size(config)
    run_dir = Path(config["paths"]["output_dir"])
    if checkpoint is None:
        write_text(run_dir / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(config)))
        write_text(run_dir / "overrides.yaml", OmegaConf.to_yaml(OmegaConf.create(overrides or [])))

    quiet()
    set_numerics(config)
    started = time.perf_counter()
    data = assemble_data(config)
    statistics = describe(config, data)
    data_ready = time.perf_counter()
    model = assemble_model(config, statistics)
    if checkpoint is None and config.get("ckpt"):
        load_weights(model, read_checkpoint(find_checkpoint(Path(config["ckpt"]))))
    compile_net(model, config)
    trainer = assemble_trainer(config, statistics)
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, PhaseTimings):
            callback.seconds |= {"data": data_ready - started, "build": time.perf_counter() - data_ready}
    trainer.fit(model, datamodule=data, ckpt_path=None if checkpoint is None else str(checkpoint), weights_only=True)

    scalars = {name: float(value) for name, value in trainer.callback_metrics.items()}
    if trainer.is_global_zero and not trainer.fast_dev_run:  # type: ignore[attr-defined]
        best = run_dir / "checkpoints" / "best.ckpt"
        if best.is_file():
            load_weights(model, read_checkpoint(best))
        if getattr(model, "task", None) is not None:
            attach_time_predictor(model, config)
            scalars |= _evaluate(model, data, "test", run_dir, int(config["seed"]))
        write_json(run_dir / "metrics.json", scalars)
        _finish(run_dir)
    return scalars


def evaluate(cfg: DictConfig, overrides: list[str] | None = None) -> dict[str, float]:
    """Measures a checkpoint on a split of the data it was trained with."""
    model, config, out = _from_checkpoint(cfg, overrides or [], Path(str(cfg.out)) if cfg.get("out") else None)
    scalars = _evaluate(model, assemble_data(config), str(cfg.split), out, int(cfg.seed))
    for name, value in scalars.items():
        log.info("%s %.4g", name, value)
    _finish(out)
    return scalars


def sample(cfg: DictConfig, overrides: list[str] | None = None) -> dict[str, float]:
    """Does with a checkpoint what its task says; needs nothing but the checkpoint."""
    folder_of_user, file_of_user = _where_to(cfg.get("out"))
    model, _, out = _from_checkpoint(cfg, overrides or [], folder_of_user)
    inputs = Inputs(*(None if cfg.get(name) is None else str(cfg[name]) for name in ("input", "reference")))
    outcome = model.task.sample(model, Randomness(int(cfg.seed), "sample"), inputs)
    if file_of_user is not None:
        save_main(outcome, file_of_user)
    folder = f"samples/{Path(str(cfg.paths.output_dir)).name}"
    scalars = save_outcome(outcome, out, f"{folder}/results.json", folder)
    for name, value in scalars.items():
        log.info("%s %.4g", name, value)
    log.info("samples: %s", file_of_user or out / folder)
    _finish(out)
    return scalars


def prepare(cfg: DictConfig, overrides: list[str] | None = None) -> dict[str, Any]:
    """Builds a data set with the chosen builder."""
    manifest = build(to_plain(cfg)["data"]).run()
    told = {name: value for name, value in manifest.items() if isinstance(value, int | str)}
    log.info("prepared: %s", ", ".join(f"{name} {value}" for name, value in told.items()))
    return manifest


def _resumed(run_dir: Path, overrides: list[str]) -> tuple[dict[str, Any], Path]:
    """Configuration of a run, with what the user overrides now, and its last checkpoint."""
    path = find_checkpoint(run_dir, ("last",))
    stored = run_dir / "config.yaml"
    if not stored.is_file():
        raise ConfigError("is no run directory: it has no config.yaml", where=str(run_dir), fix="resume=<run>")
    kept = [one for one in overrides if not one.lstrip("+").startswith(("resume=", "paths.output_dir="))]
    if any(one.lstrip("+").startswith("find_batch_size") for one in kept):
        raise ConfigError("a resumed run keeps its batch size", where="find_batch_size", fix="leave it out")
    known: Any = OmegaConf.to_container(OmegaConf.load(stored))
    config = to_plain(compose_from(known, kept))
    config["paths"]["output_dir"] = str(run_dir)
    return config, path


def _where_to(out: Any) -> tuple[Path | None, Path | None]:
    """What the user means by ``out``: a folder for everything, or a file for the structures alone."""
    path = None if out is None else Path(str(out))
    is_file = path is not None and path.suffix.lower() in (".extxyz", ".xyz")
    return (None, path) if is_file else (path, None)


def _from_checkpoint(cfg: DictConfig, overrides: list[str], out: Path | None) -> tuple[Any, dict[str, Any], Path]:
    """Model on its device, its configuration with what the user swapped, and where results go."""
    path = find_checkpoint(Path(str(cfg.ckpt)))
    checkpoint = read_checkpoint(path)
    config = to_plain(compose_from(checkpoint["hydramol"]["config"], overrides))
    set_numerics(config)
    model = load_model(checkpoint, config)
    if getattr(model, "task", None) is None:
        raise ConfigError("the checkpoint's model was trained without a task", where="task", fix="choose one: task=...")
    device = str(cfg.device) if cfg.get("device") else ("cuda" if torch.cuda.is_available() else "cpu")
    out = out or run_directory_of(path) or Path(str(cfg.paths.output_dir))
    model = model.to(device)
    attach_time_predictor(model, config)
    return model, config, out


def _evaluate(model: Any, data: DataModule, split: str, run_dir: Path, seed: int) -> dict[str, float]:
    """Lets the task measure the model on a split, and saves what it found."""
    log.info("evaluating on the %s split", split)
    model.eval()
    outcome = model.task.evaluate(model, data, split, Randomness(seed, f"evaluate/{split}"))
    return save_outcome(outcome, run_dir, f"evaluation_{split}.json", f"evaluation/{split}")


def _finish(run_dir: Path) -> None:
    """Writes the report and says where everything is."""
    report = write_report(run_dir)
    log.info("run: %s", run_dir)
    log.info("report: %s", report)
