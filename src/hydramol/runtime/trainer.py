"""The Trainer of a run: loggers, callbacks, and what every run has."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import LearningRateMonitor, RichProgressBar

from hydramol.runtime.build import build
from hydramol.runtime.callbacks import CarryConfig, EpochBoundary, PlainProgress, StepSeed
from hydramol.runtime.checkpoint import SafeCheckpointIO


def assemble_trainer(config: Mapping[str, Any], statistics: Mapping[str, torch.Tensor]) -> pl.Trainer:
    """Builds loggers, callbacks and the Trainer.

    Args:
        config: Plain, resolved configuration.
        statistics: Of the training split, carried in every checkpoint.
    """
    node = dict(config["trainer"])
    terminal = node.get("enable_progress_bar")
    terminal = sys.stderr.isatty() if terminal is None else bool(terminal)
    node["enable_progress_bar"] = terminal
    loggers = list((build(config.get("logger")) or {}).values())
    callbacks: list[pl.Callback] = [
        StepSeed(int(config["seed"])),
        *(build(config.get("callbacks")) or {}).values(),
        CarryConfig(config, statistics),
        EpochBoundary(),
        RichProgressBar() if terminal else PlainProgress(),
    ]
    if not loggers:  # Lightning refuses a learning rate monitor that has nowhere to write
        callbacks = [callback for callback in callbacks if not isinstance(callback, LearningRateMonitor)]
    return build(node, callbacks=callbacks, logger=loggers or False, plugins=[SafeCheckpointIO()])


def set_numerics(config: Mapping[str, Any]) -> None:
    """Sets what decides the last digits: the number of threads, and TF32, which is off."""
    if config.get("threads"):
        torch.set_num_threads(int(config["threads"]))
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def quiet() -> None:
    """Leaves out what Lightning says to nobody's use: advertisements, and its quarrel with a newer torch."""
    warnings.filterwarnings("ignore", message=".*LeafSpec", category=FutureWarning)
    warnings.filterwarnings("ignore", message=".*does not have many workers")
    warnings.filterwarnings("ignore", message=".*dataloader is not resumable")  # the DataModule keeps the position
    logging.getLogger("pytorch_lightning.utilities.rank_zero").addFilter(
        lambda record: not record.getMessage().startswith(("💡", "TPU available", "Loading `train_dataloader`"))
    )


def compile_net(model: pl.LightningModule, config: Mapping[str, Any]) -> None:
    """Compiles the net in place, if the configuration says so; names of weights do not change."""
    settings = config.get("compile") or {}
    if settings.get("enabled"):
        model.net.compile(mode=settings.get("mode"), dynamic=settings.get("dynamic"))  # type: ignore[union-attr]
