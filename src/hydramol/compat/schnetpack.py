"""The one door to SchNetPack 2.1.1, an optional package that serves as reader of data bases and as a check in tests."""

from __future__ import annotations

import importlib
import typing
import warnings
from types import ModuleType

import torch.utils.data.dataloader as dataloader

from hydramol.core.errors import HydramolError


def import_schnetpack(submodule: str | None = None) -> ModuleType:
    """Imports SchNetPack, which needs a name that newer versions of torch no longer have.

    SchNetPack 2.1.1 imports ``T_co`` from ``torch.utils.data.dataloader``; torch 2.13 calls it ``_T_co``. It is a type
    variable without effect at run time, so giving the old name back is enough.

    Args:
        submodule: For example "representation"; the package itself by default.

    Raises:
        HydramolError: SchNetPack is not installed, or a package it needs is missing.
    """
    if not hasattr(dataloader, "T_co"):
        setattr(dataloader, "T_co", getattr(dataloader, "_T_co", typing.TypeVar("T_co", covariant=True)))  # noqa: B010
    name = "schnetpack" if submodule is None else f"schnetpack.{submodule}"
    try:
        with warnings.catch_warnings():
            # Its sources warn of their own escapes and deprecations while they load; nothing a user could mend.
            warnings.simplefilter("ignore")
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = "schnetpack" if error.name == "schnetpack" else f"{name} (missing: {error.name})"
        raise HydramolError(f"cannot import {missing}", fix="pip install 'hydramol[schnetpack]'") from error
