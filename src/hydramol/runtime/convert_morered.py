"""Checkpoints of MoreRed as ours: weights by name, the shape of the net from them, the rest from a configuration."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydramol.compat.morered_checkpoint import Heads, MoreRedWeights, convert, read_state_dict
from hydramol.core.errors import ConfigError
from hydramol.runtime.assemble import assemble_data, assemble_model, describe
from hydramol.runtime.check import ConfigErrors
from hydramol.runtime.checkpoint import SafeCheckpointIO, contents
from hydramol.runtime.compose import composition, to_plain
from hydramol.runtime.load import load_weights

log = logging.getLogger(__name__)

USES: Mapping[Heads, tuple[str, str]] = {
    "noise": ("ddpm", "generate"),
    "joint": ("morered_jt", "generate"),
    "time": ("none", "predict_time"),
}
"""By heads: sampler and task of the converted model; both can be swapped at sampling."""

INFERRED = ("net", "experiment")
"""Groups that the weights decide."""


class MoreRedCheckpoint:
    """Converts a checkpoint of MoreRed (PaiNN) to one that `hydramol sample` and `hydramol evaluate` take.

    Args:
        input: The file: a state_dict (``.pt``, ``.safetensors``), or a Lightning checkpoint.
        out: The checkpoint to write.
        trust_checkpoint: Whether objects in the file may be unpickled, which runs whatever code they bring. Files that
            hold whole modules cannot be read without.
        dataset: Option of the group ``data`` that gives what the file does not hold: compositions to draw, statistics,
            real structures to compare with. Name the one that the model was trained on.
        overrides: Of the configuration that is stored with the weights: ``data.root=...``, or
            ``transport.path.schedule=cosine`` where the process is not MoreRed's default (polynomial, 1000 steps).
    """

    def __init__(
        self,
        input: str | Path,
        out: str | Path,
        trust_checkpoint: bool = False,
        dataset: str = "molecules",
        overrides: Sequence[str] = (),
    ) -> None:
        self.input, self.out = Path(input), Path(out)
        self.trust_checkpoint = trust_checkpoint
        self.overrides = [f"data={dataset}", *overrides]
        if self.out.resolve() == self.input.resolve():
            raise ValueError(f"out={out} is the input itself: choose another name")
        for override in overrides:
            group = override.lstrip("+~").partition("=")[0].split(".")[0]
            if group in INFERRED:
                raise ConfigError(f"overrides: {override}: the {group} follows from the weights", fix="leave it out")

    def run(self) -> dict[str, Any]:
        """Writes the checkpoint.

        Returns:
            What was found in the file, for people.

        Raises:
            CheckpointError: The file cannot be read, is not trusted, or is no such model.
            ConfigErrors: The overrides do not fit.
        """
        weights = convert(read_state_dict(self.input, self.trust_checkpoint), str(self.input))
        composed = composition("train", [*_overrides(weights), *self.overrides])
        if errors := composed.errors():
            raise ConfigErrors(errors)
        config = to_plain(composed.config)
        statistics = describe(config, assemble_data(config))
        model = assemble_model(config, statistics)
        load_weights(model, {"state_dict": weights.state})
        content = {"state_dict": model.state_dict(), "hydramol": contents(config, statistics)}
        SafeCheckpointIO().save_checkpoint(content, self.out)
        return {
            "heads": weights.heads,
            "features": weights.n_atom_basis,
            "interactions": weights.n_interactions,
            "cutoff": f"{weights.cutoff:g} Angstrom",
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "checkpoint": str(self.out),
        }


def _overrides(weights: MoreRedWeights) -> list[str]:
    """What the weights decide of a train configuration."""
    sampler, task = USES[weights.heads]
    net: dict[str, Any] = {
        "n_atom_basis": weights.n_atom_basis,
        "n_interactions": weights.n_interactions,
        "n_rbf": weights.n_rbf,
        "cutoff": weights.cutoff,
        "max_z": weights.max_z,
        "shared_filters": str(weights.shared_filters).lower(),
    }
    if weights.n_head_layers is not None:
        net["n_head_layers"] = weights.n_head_layers
    if weights.heads == "noise" and not weights.takes_time:
        net["time"] = "null"
    return [
        "experiment=null",
        "net=painn",
        *(f"net.{key}={value}" for key, value in net.items()),
        f"model.heads={weights.heads}",
        "model.time_aggregation=null",
        "model.parametrization=plain",
        f"sampler={sampler}",
        f"task={task}",
        "name=morered_checkpoint",
    ]
