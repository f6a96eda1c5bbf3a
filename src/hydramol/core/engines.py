"""Engines that are not needed to train: imported when used, named clearly when missing."""

from __future__ import annotations

import importlib
from importlib import metadata
from types import ModuleType

from hydramol.core.errors import HydramolError


def require(module: str, extra: str) -> ModuleType:
    """Imports a module of an optional engine.

    Args:
        module: Full module name, "tblite.ase".
        extra: The extra of this package that installs it.

    Raises:
        HydramolError: It is not installed; says how to get it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise HydramolError(
            f"{module.split('.')[0]} is needed and cannot be imported: {error}", fix=f"pip install hydramol[{extra}]"
        ) from error


def versions(*distributions: str, extra: str) -> dict[str, str]:
    """Installed versions of engines, for manifests and for telling whether kept work is still valid.

    Raises:
        HydramolError: One is not installed; says how to get it.
    """
    try:
        return {name: metadata.version(name) for name in distributions}
    except metadata.PackageNotFoundError as error:
        raise HydramolError(
            f"{error.name} is needed and not installed", fix=f"pip install hydramol[{extra}]"
        ) from error
