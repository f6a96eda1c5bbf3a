"""From a checkpoint back to a model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from hydramol.core.errors import CheckpointError
from hydramol.runtime.assemble import assemble_model
from hydramol.runtime.checkpoint import find_checkpoint, read_checkpoint


def load_model(checkpoint: Mapping[str, Any], config: Mapping[str, Any]) -> pl.LightningModule:
    """Builds the model of a configuration with the weights and statistics of a checkpoint, ready to be used.

    Raises:
        CheckpointError: The weights do not fit.
    """
    model = assemble_model(config, checkpoint["hydramol"]["statistics"])
    load_weights(model, checkpoint)
    return model.eval()


def load_weights(model: pl.LightningModule, checkpoint: Mapping[str, Any]) -> None:
    """Gives a model the weights of a checkpoint (the averaged ones, where weights were averaged).

    Raises:
        CheckpointError: The weights do not fit.
    """
    try:
        model.load_state_dict(checkpoint["state_dict"])
    except RuntimeError as error:
        raise CheckpointError(
            f"the weights do not fit the model: {' '.join(str(error).split())[:300]}",
            fix="use the hydramol version the checkpoint names, or the model it was trained with",
        ) from error


def attach_time_predictor(model: Any, config: Mapping[str, Any]) -> None:
    """Gives a model the time predictor that its sampler names by ``time_ckpt``, on the model's own device.

    The predictor comes with the configuration and the weights of its own checkpoint.

    Raises:
        CheckpointError: It tells no time, or that of another path.
    """
    named = (config.get("sampler") or {}).get("time_ckpt")
    if named is None:
        return
    path = find_checkpoint(Path(named))
    checkpoint = read_checkpoint(path)
    predictor: Any = load_model(checkpoint, checkpoint["hydramol"]["config"])
    if getattr(predictor, "time_head", None) is None:
        raise CheckpointError(
            "tells no time", where=f"sampler.time_ckpt={path}", fix="train one: experiment=morered_time_molecules"
        )
    ours, theirs = (one.transport.path for one in (model, predictor))
    if not ours.same_process(theirs):
        raise CheckpointError(
            f"tells the time of another path ({theirs}), the denoiser's is {ours}",
            where=f"sampler.time_ckpt={path}",
            fix="train both with the same transport.path",
        )
    model.time_predictor = predictor.to(model.device).predict_time
