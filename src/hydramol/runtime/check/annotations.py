"""Does a value from YAML fit what a constructor says it takes?"""

from __future__ import annotations

import collections.abc
import inspect
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from hydramol.runtime.check.suggest import did_you_mean

_LISTS = (list, tuple, set, frozenset, collections.abc.Sequence, collections.abc.Iterable, collections.abc.Collection)
_MAPPINGS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
_NAMES: dict[Any, str] = {int: "a whole number", float: "a number", str: "text", bool: "true or false", Path: "a path"}


def fits(value: Any, annotation: Any) -> bool:
    """Whether a plain value (no ``_target_`` node) suits an annotation; annotations we cannot judge suit everything."""
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return any(fits(value, option) for option in get_args(annotation))
    if origin is Literal:
        return any(value == option and type(value) is type(option) for option in get_args(annotation))
    if annotation is None or annotation is type(None):
        return value is None
    if annotation in _NAMES:
        return _fits_scalar(value, annotation)
    kind = origin or annotation
    if kind in _LISTS:
        return isinstance(value, list) and _fits_items(value, kind, get_args(annotation))
    if kind in _MAPPINGS:
        arguments = get_args(annotation)
        return isinstance(value, Mapping) and (
            len(arguments) != 2 or all(_is_node(item) or fits(item, arguments[1]) for item in value.values())
        )
    if (
        inspect.isclass(annotation)
        and annotation not in (Any, object)
        and not getattr(annotation, "_is_protocol", False)
    ):
        # Any other class is built by a ``_target_`` of its own, so a bare number or word cannot be one.
        return isinstance(value, (annotation, Mapping, list))
    return True


def _fits_scalar(value: Any, annotation: Any) -> bool:
    if annotation is bool:
        return isinstance(value, bool)
    if annotation is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if annotation is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(value, str)


def _fits_items(value: list[Any], kind: Any, arguments: tuple[Any, ...]) -> bool:
    if kind is tuple and arguments and arguments[-1] is not Ellipsis:
        pairs = zip(value, arguments, strict=False)
        return len(value) == len(arguments) and all(_is_node(item) or fits(item, kind) for item, kind in pairs)
    return not arguments or all(_is_node(item) or fits(item, arguments[0]) for item in value)


def _is_node(value: Any) -> bool:
    return isinstance(value, Mapping) and "_target_" in value


def misfit(value: Any, annotation: Any, path: str) -> tuple[str, Any, Any] | None:
    """Where a value does not fit, as deep inside lists and mappings as can be said: (path, value, annotation)."""
    if fits(value, annotation):
        return None
    for option in get_args(annotation) if get_origin(annotation) in (Union, types.UnionType) else (annotation,):
        kind, arguments = get_origin(option) or option, get_args(option)
        inside: list[tuple[str, Any]] = []
        if kind in _MAPPINGS and isinstance(value, Mapping) and len(arguments) == 2:
            inside = [(f"{path}.{key}", item) for key, item in value.items()]
        elif kind in _LISTS and isinstance(value, list) and (kind is not tuple or arguments[-1:] == (Ellipsis,)):
            inside = [(f"{path}[{number}]", item) for number, item in enumerate(value)]
        wanted = arguments[1] if kind in _MAPPINGS and len(arguments) == 2 else arguments[0] if arguments else Any
        for place, item in inside:
            found = None if _is_node(item) else misfit(item, wanted, place)
            if found is not None:
                return found
    return path, value, annotation


def describe(annotation: Any) -> str:
    """An annotation in words for a person who writes YAML."""
    origin = get_origin(annotation)
    if origin in (Union, types.UnionType):
        return " or ".join(dict.fromkeys(describe(option) for option in get_args(annotation)))
    if origin is Literal:
        return "one of " + ", ".join(str(option) for option in get_args(annotation))
    if annotation is None or annotation is type(None):
        return "null"
    if annotation in _NAMES:
        return _NAMES[annotation]
    kind = origin or annotation
    if kind is tuple and get_args(annotation) and Ellipsis not in get_args(annotation):
        return f"a list of {len(get_args(annotation))}"
    if kind in _LISTS:
        return "a list"
    if kind in _MAPPINGS:
        return "a mapping"
    return getattr(annotation, "__name__", str(annotation))


def hint(value: Any, annotation: Any) -> str:
    """``, did you mean x?`` for a mistyped word of a Literal."""
    words = [option for option in _literals(annotation) if isinstance(option, str)]
    return did_you_mean(value, words) if isinstance(value, str) else ""


def _literals(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [literal for option in get_args(annotation) for literal in _literals(option)]
