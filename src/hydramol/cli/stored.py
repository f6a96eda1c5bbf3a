"""Doors that start from a stored configuration: which overrides are about it, and whether they fit it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from hydramol.cli.changes import split, top_key
from hydramol.core.errors import ConfigError
from hydramol.runtime.check import ConfigErrors
from hydramol.runtime.check.suggest import unknown_key
from hydramol.runtime.compose import compose_from, config_folders, root_keys
from hydramol.runtime.options import group_names

FROM_CHECKPOINT = ("sample", "evaluate")
RESUMING = ("resume", "check", "extensions")


def split_overrides(root: str, overrides: Sequence[str], config_dir: str | None) -> tuple[list[str], list[str]]:
    """Overrides of the door's own keys, and those of the stored configuration (none for most runs).

    Raises:
        ConfigErrors: An override is about neither.
    """
    if root in FROM_CHECKPOINT:
        own = root_keys(root, config_dir)
    elif root == "train" and any(top_key(override) == "resume" for override in overrides if "=null" not in override):
        own = list(RESUMING)
    else:
        return list(overrides), []
    mine, theirs = split(overrides, own)
    known = {*own, *root_keys("train", config_dir), *group_names(config_folders(config_dir))}
    unknown = [override for override in theirs if top_key(override) not in known]
    if unknown:
        raise ConfigErrors(ConfigError(unknown_key(top_key(override), known)) for override in unknown)
    return mine, theirs


def directory_of(root: str, overrides: Sequence[str]) -> list[str]:
    """Overrides that make a resumed run go on in its own directory.

    Raises:
        ConfigError: There is no run there.
    """
    resumed = [override.partition("=")[2] for override in overrides if override.startswith("resume=")]
    if root != "train" or not resumed or resumed[-1] == "null":
        return []
    run = Path(resumed[-1].strip("'\""))
    if not (run / "config.yaml").is_file():
        raise ConfigError(f"resume={run}: no run directory (it holds no config.yaml)")
    return [f"paths.output_dir='{run}'"]


def check_stored(root: str, config: DictConfig, changes: Sequence[str], config_dir: str | None) -> None:
    """Checks the changes against the configuration that a checkpoint or run directory carries.

    Raises:
        HydramolError: There is none, or they do not fit.
    """
    stored: Any = None
    if root in FROM_CHECKPOINT:
        from hydramol.runtime.checkpoint import find_checkpoint, read_checkpoint  # brings torch

        stored = read_checkpoint(find_checkpoint(Path(str(config.ckpt))))["hydramol"]["config"]
    elif config.get("resume") is not None:
        stored = OmegaConf.to_container(OmegaConf.load(Path(str(config.resume)) / "config.yaml"))
    if stored is not None:
        compose_from(stored, changes, config_dir)
