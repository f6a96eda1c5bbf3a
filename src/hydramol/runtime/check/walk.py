"""Walks the composed, unresolved configuration node by node, so that every complaint names the user's own key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hydramol.core.errors import ConfigError
from hydramol.runtime.check.annotations import describe, fits, hint, misfit
from hydramol.runtime.check.groups import SUPPLIED, TAKEN
from hydramol.runtime.check.needs import Part
from hydramol.runtime.check.signatures import INSTANTIATE_KEYS, Argument, arguments_of
from hydramol.runtime.check.suggest import did_you_mean, unknown_key
from hydramol.runtime.check.targets import locate
from hydramol.runtime.options import PRESET_GROUPS

UNJUDGED = object()
"""Stands for a value that cannot be resolved; the complaint about that comes from its own place."""


def is_node(value: Any) -> bool:
    """Whether something is to be built: a mapping with a ``_target_``."""
    return isinstance(value, Mapping) and "_target_" in value


class Walk:
    """One pass over a configuration.

    Complaints gather in ``errors`` (``broken``: the root keys they are about), what is to be built in ``parts``.

    Args:
        config: Composed configuration.
        reference: The chosen options as their files state them, without presets and overrides; its keys are the
            allowed ones of plain mappings. None judges targets only.
        choices: Option of each group.
    """

    def __init__(self, config: DictConfig, reference: Mapping[str, Any] | None, choices: Mapping[str, str]) -> None:
        self.config = config
        self.choices = choices
        self.errors: list[ConfigError] = []
        self.broken: set[str] = set()
        self.parts: dict[str, Part] = {}
        self.plain: dict[str, Any] = OmegaConf.to_container(config, resolve=False)  # type: ignore[assignment]
        self._visit(self.plain, "", reference)

    # --- places ---------------------------------------------------------------------------------------------------

    def _visit(self, value: Any, path: str, reference: Any) -> None:
        if is_node(value):
            same = is_node(reference) and reference["_target_"] == value["_target_"]
            self._visit_node(value, path, reference if same else None)
        elif isinstance(value, Mapping):
            self._visit_mapping(value, path, reference if isinstance(reference, Mapping) else None)
        elif isinstance(value, list):
            for number, item in enumerate(value):
                self._visit(item, f"{path}[{number}]", None)
        elif value == "???":
            self._complain(path, f"{path} has no value yet", fix=f"give {path}=...")
        elif isinstance(value, str) and "${" in value:
            self._resolve(path, complain=True)

    def _visit_mapping(self, mapping: Mapping[str, Any], path: str, reference: Mapping[str, Any] | None) -> None:
        for key, value in mapping.items():
            place = f"{path}.{key}" if path else str(key)
            known = reference is None or key in reference
            if known or (path and _holds_nodes(reference) and is_node(value)):
                if reference is not None and not is_node(value):
                    self._judge_like(value, place, reference.get(key))
                self._visit(value, place, reference.get(key) if reference is not None else None)
            elif key in PRESET_GROUPS and not path:
                option = self.choices.get(key, "...")
                self._complain(
                    key, f"{key}={option} has no effect: its file must begin with the line '# @package _global_'"
                )
            elif not reference and path in self.choices:
                self._complain(place, f"{place} is set, but {path}={self.choices[path]} has no keys")
            else:
                self._complain(place, unknown_key(place, reference or ()))

    def _visit_node(self, node: Mapping[str, Any], path: str, reference: Mapping[str, Any] | None) -> None:
        target = str(node["_target_"])
        taken = TAKEN.get(path, frozenset())
        try:
            found = locate(target)
            arguments = arguments_of(found)
        except ConfigError as error:
            self._complain(path, error.what, where=path, fix=error.fix)
        except ValueError as error:  # inspect found no signature
            self._complain(path, f"cannot tell what {target} takes: {error}", where=path)
        else:
            self._judge_keys(node, path, arguments, taken)
            self._note_part(node, path, found)
        for key, value in node.items():
            if key not in INSTANTIATE_KEYS:
                self._visit(value, f"{path}.{key}", (reference or {}).get(key) or None)

    # --- judgements -------------------------------------------------------------------------------------------------

    def _judge_keys(
        self, node: Mapping[str, Any], path: str, arguments: Mapping[str, Argument], taken: frozenset[str]
    ) -> None:
        supplied = SUPPLIED.get(path, frozenset())
        allowed = [*(name for name in arguments if name not in supplied), *taken]
        for key, value in node.items():
            place = f"{path}.{key}"
            if key in INSTANTIATE_KEYS or key in taken:
                continue
            if key in supplied and key in arguments:
                self._complain(
                    place, f"{place} is supplied by the program and cannot be set here", fix=_where_supplied(key)
                )
            elif key not in arguments:
                self._complain(place, unknown_key(place, allowed))
            elif not is_node(value) and value != "???":
                self._judge_type(place, arguments[key].annotation)
        if not node.get("_partial_"):
            for name, argument in arguments.items():
                if argument.required and name not in node and name not in supplied:
                    self._complain(
                        path, f"{path}.{name} is missing; {node['_target_']} requires it", fix=f"give {path}.{name}=..."
                    )

    def _judge_type(self, path: str, annotation: Any) -> None:
        value = self._resolve(path)
        if annotation is None or value is UNJUDGED or is_node(value):
            return
        found = misfit(value, annotation, path)
        if found is not None:
            place, value, annotation = found
            self._complain(place, f"{place}={_shown(value)} must be {describe(annotation)}{hint(value, annotation)}")

    def _judge_like(self, value: Any, path: str, example: Any) -> None:
        """Judges a value of a plain mapping by the one in the option's own file."""
        if value is None or example is None or _is_open(example) or _is_open(value):
            return
        expected = Mapping if isinstance(example, Mapping) else type(example)
        if not fits(value, expected):
            self._complain(path, f"{path}={_shown(value)} must be {describe(expected)}")

    def _note_part(self, node: Mapping[str, Any], path: str, target: Any) -> None:
        group, *inner = path.split(".")
        name = f"{group}={self.choices[group]}" if group in self.choices else group
        values = {key: self._resolve(f"{path}.{key}") for key in node if key not in INSTANTIATE_KEYS}
        arguments = {key: value for key, value in values.items() if value is not UNJUDGED}
        self.parts[path] = Part(" ".join([name, *(f"({key})" for key in inner)]), target, arguments)

    # --- helpers ----------------------------------------------------------------------------------------------------

    def _resolve(self, path: str, complain: bool = False) -> Any:
        try:
            value = OmegaConf.select(self.config, path, throw_on_missing=True, throw_on_resolution_failure=True)
            if isinstance(value, (DictConfig, ListConfig)):
                return OmegaConf.to_container(value, resolve=True, throw_on_missing=True)
            return value
        except (OmegaConfBaseException, KeyError, ValueError) as error:
            if complain:
                self._complain(path, f"{path}: {self._interpolation_problem(path, error)}")
            return UNJUDGED

    def _interpolation_problem(self, path: str, error: Exception) -> str:
        text = str(error).splitlines()[0]
        raw = _raw(self.plain, path)
        if "Interpolation key" in text:
            key = text.split("'")[1]
            parent, _, name = key.rpartition(".")
            known = OmegaConf.select(self.config, parent) if parent else self.config
            names = [str(one) for one in known] if isinstance(known, DictConfig) else []
            return f"{raw} points to {key}, which does not exist{did_you_mean(name, names)}"
        return f"{raw} cannot be resolved: {text}"

    def _complain(self, path: str, what: str, *, where: str | None = None, fix: str | None = None) -> None:
        self.errors.append(ConfigError(what, where=where, fix=fix))
        self.broken.add(path.split(".")[0])


def _holds_nodes(reference: Mapping[str, Any] | None) -> bool:
    """Whether a mapping is an ordered collection of things to build (callbacks, loggers, transforms)."""
    return reference is not None and all(value is None or is_node(value) for value in reference.values())


def _is_open(value: Any) -> bool:
    return isinstance(value, str) and (value == "???" or "${" in value)


def _where_supplied(key: str) -> str:
    return f"set {key} at the root" if key not in ("statistics", "plugins") else ""


def _shown(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _raw(plain: Any, path: str) -> Any:
    for key in path.replace("[", ".").replace("]", "").split("."):
        plain = plain[int(key)] if isinstance(plain, list) else plain[key]
    return plain
