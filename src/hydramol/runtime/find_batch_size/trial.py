"""A trial of training steps: what runs in the process that is measured."""

from __future__ import annotations

import gc
import logging
import resource
import sys
import warnings
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor

from hydramol.core.errors import HydramolError
from hydramol.data.datamodule import DataModule
from hydramol.runtime.assemble import assemble_data, assemble_model
from hydramol.runtime.build import build
from hydramol.runtime.callbacks import StepSeed
from hydramol.runtime.check.targets import trust
from hydramol.runtime.find_batch_size.costliest import GivenBatches
from hydramol.runtime.trainer import compile_net, quiet, set_numerics

STEPS = 2
"""Steps on each batch: from the second on, the optimiser's own state and the gradients' places are there too."""

BARE = {
    "max_epochs": 1,
    "max_steps": -1,
    "max_time": None,
    "accumulate_grad_batches": 1,
    "val_check_interval": None,
    "reload_dataloaders_every_n_epochs": 0,
    "num_sanity_val_steps": 0,
    "limit_train_batches": None,
    "limit_val_batches": 0,
    "profiler": None,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "fast_dev_run": False,
    "overfit_batches": 0.0,
}
"""The user's trainer without all that writes, validates or ends early."""


def serve(connection: Connection, config: Mapping[str, Any], statistics: Mapping[str, np.ndarray]) -> None:
    """Says which device trains, then answers batches with the peak memory of training on them, in bytes, or None.

    An error of the user's is sent as (exit code, line).

    Args:
        connection: To the process that asks; when it is closed, this one ends.
        config: Plain, resolved configuration.
        statistics: Of the training split.
    """
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")  # the run that follows says it all again
    try:
        trust(str(package) for package in config.get("extensions") or ())
        quiet()
        set_numerics(config)
        trial = Trial(config, {name: torch.from_numpy(np.asarray(value)) for name, value in statistics.items()})
        connection.send(trial.device.type)
        while True:
            connection.send(trial.peak(connection.recv()))
    except HydramolError as error:
        connection.send((error.exit_code, error.line))
    except EOFError:
        return


class Trial:
    """Trains for a few steps and tells the peak memory.

    Args:
        config: Plain, resolved configuration.
        statistics: Of the training split.
    """

    def __init__(self, config: Mapping[str, Any], statistics: Mapping[str, Tensor]) -> None:
        self.config = {**config, "scheduler": None}  # needs no memory, and some want a validation
        self.statistics = statistics
        self.data = assemble_data(config)
        self.device: torch.device = self._trainer().strategy.root_device

    def peak(self, batches: tuple[tuple[int, ...], ...]) -> int | None:
        """Highest memory of steps on batches of these items, bytes; None if there is not that much."""
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        try:
            self._train(GivenBatches(tuple(items for items in batches for _ in range(STEPS))))
        except (RuntimeError, MemoryError) as error:
            if _is_out_of_memory(error):
                return None
            raise
        finally:
            gc.collect()
        return torch.cuda.max_memory_allocated(self.device) if self.device.type == "cuda" else highest_resident()

    def _train(self, plan: GivenBatches) -> None:
        own = self.data
        data = DataModule(
            own.dataset, plan, own.sample_transforms, own.batch_transforms, seed=own.seed, n_views=own.n_views
        )
        model = assemble_model(self.config, self.statistics)
        compile_net(model, self.config)
        self._trainer().fit(model, datamodule=data)

    def _trainer(self) -> pl.Trainer:
        callbacks = (build(self.config.get("callbacks")) or {}).values()
        averaging = [callback for callback in callbacks if isinstance(callback, WeightAveraging)]
        seeding = StepSeed(int(self.config["seed"]))
        trainer: pl.Trainer = build(
            {**self.config["trainer"], **BARE}, callbacks=[seeding, *averaging], logger=False, plugins=[]
        )
        return trainer


def highest_resident() -> int:
    """The highest resident memory of this process so far, bytes."""
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage would count the parent's, whose memory this process shared while it started
        lines = status.read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale


def _is_out_of_memory(error: Exception) -> bool:
    """Torch has an own class for GPUs only; its CPU allocator raises a plain RuntimeError."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "DefaultCPUAllocator" in str(error)
