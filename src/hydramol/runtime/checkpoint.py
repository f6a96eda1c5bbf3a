"""Checkpoints with everything inside, read without running code.

Besides Lightning's own entries a checkpoint holds, under "hydramol", plain containers and tensors only: the composed
and resolved configuration, its version, package versions, statistics of the training split and the units. It loads
under ``weights_only=True``.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from lightning_fabric.plugins import CheckpointIO

from hydramol.core.errors import CheckpointError
from hydramol.core.files import writing
from hydramol.core.keys import KEYS

CONFIG_VERSION = 1
"""Layout of the stored configuration. A change adds a function to `UPGRADES` and a small checkpoint to the tests."""

UPGRADES: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""By version: brings a configuration of that version to the next."""

FOLDER = "checkpoints"
"""Where a run directory keeps them."""

_PACKAGES = ("hydramol", "torch", "pytorch-lightning", "torch-geometric", "hydra-core", "omegaconf", "numpy")


def package_versions() -> dict[str, str]:
    """Installed versions of the packages that decide a run's numbers."""
    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = "not installed"
    return versions


def contents(config: Mapping[str, Any], statistics: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """What a checkpoint carries besides weights and the trainer's state."""
    return {
        "config": dict(config),
        "config_version": CONFIG_VERSION,
        "versions": package_versions(),
        "statistics": dict(statistics),
        "units": {name: key.unit for name, key in KEYS.items()},
    }


class SafeCheckpointIO(CheckpointIO):
    """Writes a checkpoint whole or not at all, and reads it without unpickling code."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Saves under a temporary name, then renames."""
        with writing(Path(path)) as temporary:
            try:
                torch.save(checkpoint, temporary)
            except RuntimeError as error:
                # torch's zip writer reports a full disk as a RuntimeError; `writing` names the file.
                raise OSError(str(error).splitlines()[0]) from error

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        """Loads under ``weights_only=True``, whatever was asked for."""
        return load_file(Path(path), map_location)

    def remove_checkpoint(self, path: Any) -> None:
        """Deletes a checkpoint file."""
        Path(path).unlink(missing_ok=True)


def load_file(path: Path, map_location: Any = None) -> dict[str, Any]:
    """Reads a checkpoint file without running code in it.

    Raises:
        CheckpointError: It is missing, broken, or holds objects other than plain containers and tensors.
    """
    if not path.is_file():
        raise CheckpointError("there is no such checkpoint", where=str(path), fix="give the path of a .ckpt file")
    try:
        loaded = torch.load(path, map_location=map_location, weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            "refused: it holds objects whose loading could run code, or is no checkpoint",
            where=str(path),
            fix="use checkpoints written by hydramol",
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"is broken or no checkpoint: {str(error).splitlines()[0] if str(error) else type(error).__name__}",
            where=str(path),
        ) from error
    if not isinstance(loaded, dict):
        raise CheckpointError(f"holds a {type(loaded).__name__}, not a checkpoint", where=str(path))
    return loaded


def read_checkpoint(path: Path, map_location: Any = "cpu") -> dict[str, Any]:
    """Reads one of our own checkpoints and brings its configuration to today's layout.

    Raises:
        CheckpointError: See `load_file`; also when it is not ours or newer than this version of hydramol.
    """
    checkpoint = load_file(path, map_location)
    ours = checkpoint.get("hydramol")
    if not isinstance(ours, dict) or "config" not in ours:
        raise CheckpointError("was not written by hydramol: it carries no configuration", where=str(path))
    version = int(ours["config_version"])
    if version > CONFIG_VERSION:
        raise CheckpointError(
            f"has config version {version}, this hydramol knows up to {CONFIG_VERSION}",
            where=str(path),
            fix="update hydramol",
        )
    while version < CONFIG_VERSION:
        ours["config"] = UPGRADES[version](ours["config"])
        version += 1
    return checkpoint


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
