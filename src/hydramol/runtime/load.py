"""From a checkpoint back to a model, and from a path to its checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytorch_lightning as pl

from hydramol.core.errors import CheckpointError
from hydramol.runtime.assemble import assemble_model

FOLDER = "checkpoints"


def find_checkpoint(path: Path, names: tuple[str, ...] = ("best", "last")) -> Path:
    """The checkpoint file that a user means by a file or by a run directory.

    Args:
        path: A .ckpt file, or a run directory.
        names: Which checkpoint of a run directory to take, the first that is there.

    Raises:
        CheckpointError: There is none.
    """
    if not path.is_dir():
        return path  # `read_checkpoint` says so if it is missing
    for name in names:
        if (path / FOLDER / f"{name}.ckpt").is_file():
            return path / FOLDER / f"{name}.ckpt"
    raise CheckpointError(
        f"has no {' or '.join(f'{FOLDER}/{name}.ckpt' for name in names)}",
        where=str(path),
        fix="give a .ckpt file or the directory of a run that saved one",
    )


def run_directory_of(checkpoint: Path) -> Path | None:
    """The run directory a checkpoint lies in, if it lies in one."""
    folder = checkpoint.resolve().parent
    is_run = folder.name == FOLDER and (folder.parent / "config.yaml").is_file()
    return folder.parent if is_run else None


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
