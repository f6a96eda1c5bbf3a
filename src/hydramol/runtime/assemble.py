"""From a checked configuration to objects: each group is built once and handed to the model by constructor name."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl
from hydra.utils import get_class
from torch import Tensor

from hydramol.core.protocols import Dataset
from hydramol.data.datamodule import DataModule
from hydramol.runtime.build import build
from hydramol.runtime.check.groups import PARTS, TAKEN


def assemble_data(config: Mapping[str, Any]) -> DataModule:
    """Builds data set, plan, transforms and their DataModule."""
    data = config["data"]
    dataset: Dataset = build({name: value for name, value in data.items() if name not in TAKEN["data"]})
    transform = config.get("transform") or {}
    return DataModule(
        dataset,
        build(config["batching"]),
        build(transform.get("sample")),
        build(transform.get("batch")),
        seed=int(config["seed"]),
        n_views=int(data.get("n_views", 1)),
        **(data.get("loader") or {}),
    )


def describe(config: Mapping[str, Any], data: DataModule) -> dict[str, Tensor]:
    """What the model wants to know of its training data: statistics that are kept in the checkpoint."""
    model: Any = get_class(config["model"]["_target_"])
    found: dict[str, Tensor] = model.describe(data)
    return found


def assemble_model(config: Mapping[str, Any], statistics: Mapping[str, Tensor]) -> pl.LightningModule:
    """Builds the model with the parts its constructor names.

    Args:
        config: Plain, resolved configuration.
        statistics: Of the training split, or those stored in a checkpoint.
    """
    accepted = inspect.signature(get_class(config["model"]["_target_"])).parameters
    pl.seed_everything(int(config["seed"]), workers=False, verbose=False)  # decides the initial weights
    parts = {name: build(config.get(name)) for name in PARTS if name in accepted}
    return build(config["model"], **parts, statistics=dict(statistics), seed=int(config["seed"]))
