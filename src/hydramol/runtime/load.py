"""From a checkpoint back to a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytorch_lightning as pl

from hydramol.core.errors import CheckpointError
from hydramol.runtime.assemble import assemble_model


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
