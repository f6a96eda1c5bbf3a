"""From a node of the configuration to an object. Nothing else calls Hydra's instantiate."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import OmegaConf

from hydramol.core.errors import ConfigError, HydramolError
from hydramol.runtime.check.targets import locate


def build(node: Any, /, **extra: Any) -> Any:
    """Builds what a node describes.

    A mapping with a ``_target_`` becomes that object. An ordered mapping of such nodes becomes a dict of objects,
    without the entries that are null. Null and an empty mapping (``none.yaml``) become None.

    Args:
        node: Plain containers or a DictConfig.
        **extra: Objects passed to the constructor as they are, beside what the node says.

    Raises:
        ConfigError: A target lies outside the allowed packages, or a constructor refuses a value.
    """
    if OmegaConf.is_config(node):
        node = OmegaConf.to_container(node, resolve=True, throw_on_missing=True)
    if not node:
        return None
    _locate_all(node)
    return _build(node, extra)


def _build(node: Any, extra: Mapping[str, Any]) -> Any:
    if not isinstance(node, Mapping):
        return node
    if "_target_" in node:
        return _call(node, extra)
    if extra:
        raise ValueError(f"nothing to pass {', '.join(extra)} to: the node has no _target_")
    return {key: _build(value, {}) for key, value in node.items() if value is not None}


def _call(node: Mapping[str, Any], extra: Mapping[str, Any]) -> Any:
    partial = bool(node.get("_partial_"))
    try:
        # Hydra gets the node alone: it would turn dataclasses and dicts among the extra objects into configurations.
        factory = instantiate({**node, "_partial_": True, "_convert_": "all"})
        arguments = {**factory.keywords, **extra}
        return functools.partial(factory.func, **arguments) if partial else factory.func(**arguments)
    except HydramolError:
        raise
    except InstantiationException as error:
        if isinstance(error.__cause__, HydramolError):
            raise error.__cause__ from None
        if isinstance(error.__cause__, ValueError):
            raise ConfigError(str(error.__cause__), where=_culprit(error)) from error
        raise
    except ValueError as error:
        raise ConfigError(str(error), where=str(node["_target_"])) from error


def _culprit(error: InstantiationException) -> str | None:
    """The nested target that Hydra was calling."""
    found = re.search(r"'([\w.]+)'", str(error))
    return found.group(1) if found else None


def _locate_all(node: Any) -> None:
    """Refuses forbidden targets anywhere in a node, before anything in it is called."""
    if isinstance(node, Mapping):
        if "_target_" in node:
            locate(str(node["_target_"]))
        for value in node.values():
            _locate_all(value)
    elif isinstance(node, list):
        for value in node:
            _locate_all(value)
