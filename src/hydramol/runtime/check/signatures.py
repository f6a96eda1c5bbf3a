"""Which keys a ``_target_`` takes, and what they may hold."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, get_type_hints

INSTANTIATE_KEYS = ("_target_", "_partial_", "_convert_", "_recursive_")
"""Hydra's own keys of a node; positional ``_args_`` are refused, because nobody can tell what they mean."""

# Constructors of others that end in **kwargs take these besides the arguments that they name.
EXTRA_KEYS: Mapping[str, tuple[str, ...]] = {
    "pytorch_lightning.loggers.tensorboard.TensorBoardLogger": (
        "comment",
        "purge_step",
        "max_queue",
        "flush_secs",
        "filename_suffix",
    ),
    "pytorch_lightning.loggers.wandb.WandbLogger": (
        "entity",
        "group",
        "job_type",
        "tags",
        "notes",
        "config",
        "mode",
        "resume",
        "reinit",
        "settings",
        "sync_tensorboard",
        "save_code",
    ),
    "pytorch_lightning.callbacks.weight_averaging.EMAWeightAveraging": (),
    "pytorch_lightning.callbacks.weight_averaging.WeightAveraging": (),
    "pytorch_lightning.profilers.pytorch.PyTorchProfiler": (
        "activities",
        "schedule",
        "record_shapes",
        "profile_memory",
        "with_stack",
        "with_flops",
        "with_modules",
    ),
    "pytorch_lightning.strategies.ddp.DDPStrategy": (
        "find_unused_parameters",
        "static_graph",
        "gradient_as_bucket_view",
        "broadcast_buffers",
        "bucket_cap_mb",
    ),
}


@dataclass(frozen=True)
class Argument:
    """One argument of a constructor; ``annotation`` is None where it states none that can be read."""

    annotation: Any
    required: bool


@cache
def arguments_of(target: Any) -> Mapping[str, Argument]:
    """Every key that a target takes by name."""
    signature = inspect.signature(target)
    hints = _type_hints(target)
    found: dict[str, Argument] = {}
    for name, parameter in signature.parameters.items():
        if parameter.kind is parameter.VAR_KEYWORD:
            found |= {extra: Argument(None, required=False) for extra in _extra_keys(target)}
        elif parameter.kind not in (parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY):
            found[name] = Argument(hints.get(name), required=parameter.default is parameter.empty)
    return found


def _extra_keys(target: Any) -> tuple[str, ...]:
    return EXTRA_KEYS.get(f"{target.__module__}.{target.__qualname__}", ())


def _type_hints(target: Any) -> dict[str, Any]:
    """Annotations of a constructor's arguments; a name imported only for type checkers is taken for Any."""
    function = inspect.unwrap(target.__init__) if inspect.isclass(target) else inspect.unwrap(target)
    unknown: dict[str, Any] = {}
    while True:
        try:
            return get_type_hints(function, localns=unknown)
        except NameError as error:
            if error.name in unknown or error.name is None:
                return {}
            unknown[error.name] = Any
        except (AttributeError, TypeError):  # annotations that only a type checker understands
            return {}
