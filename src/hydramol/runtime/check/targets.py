"""What a ``_target_`` may name, and finding it."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable
from types import ModuleType
from typing import Any

from hydramol.core.errors import ConfigError
from hydramol.runtime.check.suggest import did_you_mean

ALLOWED_PACKAGES = (
    "hydramol",
    "torch.optim",
    "torch.nn",
    "pytorch_lightning",
    "torchmetrics",
    "torch_geometric.transforms",
    "peft",
)
"""A configuration (a checkpoint carries one) may call nothing else, unless the user names it in ``extensions``."""

_trusted: set[str] = set()


def trust(packages: Iterable[str]) -> None:
    """Allows more packages for the rest of the process.

    Doors call it with the root key ``extensions`` of what the user composed, never with that of a stored
    configuration: a checkpoint must not say what it may call.
    """
    _trusted.update(packages)


def require_allowed(target: str) -> None:
    """Refuses targets outside the allowed packages.

    Raises:
        ConfigError: The target lies elsewhere, or reaches through a private name.
    """
    packages = (*ALLOWED_PACKAGES, *sorted(_trusted))
    inside = any(target.startswith(f"{package}.") for package in packages)
    # A dunder on the way (``hydramol.core.__builtins__``) or an imported module would lead out of the package again.
    if not inside or any(part.startswith("__") for part in target.split(".")):
        raise ConfigError(
            f"_target_ {target} is outside the allowed packages ({', '.join(packages)})",
            fix="if you trust it: extensions=[package]",
        )


def locate(target: str) -> Any:
    """Imports what a target names.

    Raises:
        ConfigError: It is not allowed, does not exist, or something it needs is not installed.
    """
    require_allowed(target)
    parts = target.split(".")
    module, n_found = _longest_module(target, parts)
    found: Any = module
    for name in parts[n_found:]:
        if not hasattr(found, name):
            raise ConfigError(f"_target_ {target} does not exist{did_you_mean(name, _names_in(found))}")
        found = getattr(found, name)
    if isinstance(found, ModuleType) or not callable(found):
        raise ConfigError(f"_target_ {target} is not a class or function")
    # What one of our modules merely imported (``hydramol.data.x.torch.load``) is not ours: look where it was defined.
    home = f"{getattr(found, '__module__', None)}.{getattr(found, '__qualname__', target)}"
    if not home.startswith("lightning_fabric."):  # pytorch_lightning offers parts of it under its own name
        require_allowed(home)
    return found


def _longest_module(target: str, parts: list[str]) -> tuple[ModuleType, int]:
    module: ModuleType | None = None
    for count in range(1, len(parts) + 1):
        name = ".".join(parts[:count])
        try:
            module = importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:  # The module is there; something that it needs is not.
                raise ConfigError(f"cannot import {target}: {error}") from error
            if module is None:
                raise ConfigError(f"_target_ {target}: no package {name}") from None
            return module, count - 1
        except ImportError as error:
            raise ConfigError(f"cannot import {target}: {error}") from error
    raise ConfigError(f"_target_ {target} is a module, not a class or function")


def _names_in(found: Any) -> list[str]:
    names = [name for name in dir(found) if not name.startswith("_")]
    if hasattr(found, "__path__"):
        names += [module.name for module in pkgutil.iter_modules(found.__path__)]
    return names
