"""What a run is made of: parameters by module, split sizes, steps, effective batch, memory."""

from __future__ import annotations

import logging
import resource
import sys
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from hydramol.core.files import write_json
from hydramol.runtime.callbacks.timings import PhaseTimings
from hydramol.runtime.checkpoint import package_versions

log = logging.getLogger(__name__)


class RunSummary(pl.Callback):
    """Writes summary.json when training starts and again when it ends.

    Args:
        dirpath: The run directory.
        depth: How deep modules are listed.
    """

    def __init__(self, dirpath: str, depth: int = 2) -> None:
        self.path = Path(dirpath) / "summary.json"
        self.depth = depth
        self.summary: dict[str, Any] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Collects what is known before the first step."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        splits = {stage: len(data.indices(stage)) for stage in ("train", "val", "test")}
        n_batches = data.plan("train").count(data.position[0], data.world)
        items = splits["train"] * data.n_views / n_batches
        self.summary = {
            "status": "running",
            "parameters": parameters_by_module(pl_module, self.depth),
            "split_sizes": splits,
            "batches_per_epoch": n_batches,
            "steps_per_epoch": -(-n_batches // trainer.accumulate_grad_batches),
            "effective_batch": items * trainer.accumulate_grad_batches,
            "processes": trainer.world_size,
            "device": str(pl_module.device),
            "threads": torch.get_num_threads(),
            "precision": str(trainer.precision),
            "versions": package_versions(),
        }
        log.info(
            "%s parameters; train/val/test %d/%d/%d; %d steps an epoch, %.1f items a step",
            f"{self.summary['parameters']['total']:,}",
            *splits.values(),
            self.summary["steps_per_epoch"],
            self.summary["effective_batch"],
        )
        self._write(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Adds what training showed."""
        self.summary |= {
            "status": "interrupted" if trainer.interrupted else "trained",
            "peak_memory_mb": peak_memory_mb(),
            "epochs": trainer.current_epoch,
            "steps": trainer.global_step,
        }
        timings = [one for one in trainer.callbacks if isinstance(one, PhaseTimings)]  # type: ignore[attr-defined]
        if timings:
            self.summary["timings"] = timings[0].seconds
        self._write(trainer)

    def _write(self, trainer: pl.Trainer) -> None:
        if trainer.is_global_zero:
            write_json(self.path, self.summary)


def parameters_by_module(module: torch.nn.Module, depth: int) -> dict[str, int]:
    """Trainable and frozen parameters by module name, down to a depth, with their total."""
    counts: dict[str, int] = {}
    for name, parameter in module.named_parameters():
        prefix = ".".join(name.split(".")[:-1][:depth])
        counts[prefix] = counts.get(prefix, 0) + parameter.numel()
    return {**counts, "total": sum(counts.values())}


def peak_memory_mb() -> dict[str, float]:
    """Peak memory of this process and, where there is one, of the GPU."""
    scale = 1 if sys.platform == "darwin" else 1024  # ru_maxrss: bytes on macOS, KiB on Linux
    peak = {"process": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale / 2**20}
    if torch.cuda.is_available():
        peak["gpu"] = torch.cuda.max_memory_allocated() / 2**20
    return peak
