"""Why a configuration does not compose. Hydra stops at the first problem, in many lines; we want all, a line each."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra._internal.hydra import Hydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hydramol.core.errors import ConfigError
from hydramol.runtime.check.signatures import arguments_of
from hydramol.runtime.check.suggest import closest, did_you_mean, unknown_key, unknown_option
from hydramol.runtime.check.targets import locate
from hydramol.runtime.options import group_names

COMPOSING = (HydraException, OmegaConfBaseException, ValueError, yaml.YAMLError)
"""What Hydra raises when overrides or YAML files do not fit together."""


class Diagnosis:
    """Takes the overrides apart until the rest composes.

    Args:
        hydra: Where to compose.
        root: Name of the primary YAML file.
        overrides: All that the user gave; at least one of them, or a YAML file, is wrong.
        folders: Folders of YAML files.

    Attributes:
        errors: What is wrong.
        config: What composes without the wrong overrides, or None where a YAML file is at fault.
        sound: The overrides that remain.
        has_values: Whether values are among them, not only options.
    """

    def __init__(self, hydra: Hydra, root: str, overrides: Sequence[str], folders: Iterable[Path]) -> None:
        self.loader: Any = hydra.config_loader
        self.root = root
        self.groups = group_names(folders)
        self.errors: list[ConfigError] = []
        self.sound: list[str] = []
        self.has_values = False
        self.config: DictConfig | None = None
        parsed = [one for one in map(self._parse, overrides) if one is not None]
        groups = [one for one in parsed if self._is_group(one)]
        sound = [one for one in groups if self._check_option(one)]
        try:
            self.config = self._load([str(one.input_line) for one in sound])
        except COMPOSING as error:
            self.errors.append(self._translate(error))
            return
        values = [one for one in parsed if one not in groups and self._check_value(one, self.config)]
        self.has_values = bool(values)
        sound += values
        self.sound = [str(one.input_line) for one in sound]
        if not self.errors:  # nothing looked wrong, but Hydra refused: say what it said
            self.errors.append(self._why(self.sound))

    # --- overrides ---------------------------------------------------------------------------------------------------

    def _parse(self, text: str) -> Override | None:
        try:
            override = OverridesParser.create().parse_override(text)
        except HydraException as error:
            self.errors.append(unreadable(text, error))
            return None
        if override.is_sweep_override():
            self.errors.append(
                ConfigError(f"{text} has several values", fix="add -m for one run each, or quote the value")
            )
            return None
        return override

    def _is_group(self, override: Override) -> bool:
        exists: bool = self.loader.repository.group_exists(override.key_or_group)
        return exists and not isinstance(override.value(), dict)

    def _check_option(self, override: Override) -> bool:
        group = override.key_or_group
        known = self.loader.get_group_options(group)
        value = override.value()
        if override.is_delete():
            return True
        options = value if isinstance(value, list) else [value]
        unknown = [str(option) for option in options if str(option) not in known]
        label = group.rpartition("/")[2] if override.package else group
        self.errors += [ConfigError(unknown_option(label, option, known)) for option in unknown]
        return not unknown

    def _check_value(self, override: Override, config: DictConfig) -> bool:
        key = str(override.key_or_group)
        present = _has(config, key)
        if override.is_add() and present and not isinstance(override.value(), (dict, list)):
            line = str(override.input_line).lstrip("+")
            self.errors.append(ConfigError(f"{key} is there already", fix=f"write {line} without +"))
        elif not present and not override.is_add() and not override.is_force_add():
            self.errors.append(self._unknown(key, config, str(override.input_line)))
        else:
            return self._apply(override, config)
        return False

    def _apply(self, override: Override, config: DictConfig) -> bool:
        """Tries a value on its own, which finds merges that OmegaConf refuses."""
        if override.is_delete():
            return True
        adding = override.is_add() or override.is_force_add()
        try:
            OmegaConf.update(config.copy(), str(override.key_or_group), override.value(), force_add=adding)
        except COMPOSING as error:
            self.errors.append(ConfigError(f"{override.input_line}: {_first_line(error)}"))
            return False
        return True

    def _unknown(self, key: str, config: DictConfig, line: str) -> ConfigError:
        """A key that is not there: perhaps mistyped, perhaps an argument that needs a ``+``."""
        place, node = _deepest(config, key)
        name = key[len(place) :].lstrip(".").split(".")[0]
        full = f"{place}.{name}" if place else name
        known = [str(one) for one in node] if isinstance(node, DictConfig) else []
        if not place:
            known = [one for one in known if one != "hydra"] + [group for group in self.groups if "/" not in group]
        if not isinstance(node, DictConfig):
            return ConfigError(f"unknown key {full}: {place} is no mapping")
        if name not in known and closest(name, known) is None and "_target_" in node:
            arguments = _arguments(node)
            if name in arguments:
                return ConfigError(f"{full} is not in the configuration yet", fix=f"add it with +{line}")
            known += arguments
        return ConfigError(unknown_key(full, known))

    # --- composing ---------------------------------------------------------------------------------------------------

    def _load(self, overrides: list[str]) -> DictConfig:
        config: DictConfig = self.loader.load_configuration(self.root, overrides, RunMode.RUN, from_shell=False)
        return config

    def _why(self, overrides: list[str]) -> ConfigError:
        try:
            self._load(overrides)
        except COMPOSING as error:
            return self._translate(error)
        return ConfigError("the configuration does not compose")

    def _translate(self, error: Exception) -> ConfigError:
        """What Hydra says about a YAML file, in one line."""
        if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
            mark = error.problem_mark
            return ConfigError(f"not valid YAML: {error.problem}", where=f"{mark.name}, line {mark.line + 1}")
        text = str(error) or str(error.__cause__)
        where, text = _file_in(text)
        missing = re.match(r"Could not find '(.+)/([^/']+)'", text)
        if missing:
            group, option = missing.groups()
            if group in self.groups:
                return ConfigError(unknown_option(group, option, self.loader.get_group_options(group)), where=where)
            return ConfigError(f"unknown group {group}{did_you_mean(group, self.groups)}", where=where)
        no_override = re.match(r"Could not override '(.+?)'\.", text)
        if no_override:
            group = no_override.group(1)
            return ConfigError(f"unknown group {group}{did_you_mean(group, self.groups)}", where=where)
        return ConfigError(_first_line(error) if not where else text.splitlines()[0], where=where)


def unreadable(override: str, error: Exception) -> ConfigError:
    """An override that Hydra's grammar does not understand."""
    reason = str(error).splitlines()[0].strip()
    fix = "write key=value" if "=" not in override else "quote values with special characters: 'key=\"a b\"'"
    return ConfigError(f"cannot read the override {override}: {reason}", fix=fix)


def _file_in(text: str) -> tuple[str | None, str]:
    """Splits ``In 'experiment/x': what`` into file and what."""
    match = re.match(r"In '([^']+)': (.*)", text, re.DOTALL)
    return (f"{match.group(1)}.yaml", match.group(2)) if match else (None, text)


def _first_line(error: Exception) -> str:
    text = str(error) or str(error.__cause__ or type(error).__name__)
    if error.__cause__ is not None and str(error.__cause__) not in text:
        text = f"{text.splitlines()[0]}: {error.__cause__}"
    return text.strip().splitlines()[0]


def _has(config: DictConfig, key: str) -> bool:
    place, _ = _deepest(config, key)
    return place == key


def _deepest(config: DictConfig, key: str) -> tuple[str, Any]:
    """The longest beginning of a dotted key that exists, and what stands there."""
    place, node = "", config
    for name in key.split("."):
        if not isinstance(node, DictConfig) or name not in node.keys():  # noqa: SIM118 - "in node" is False for ???
            break
        place = f"{place}.{name}" if place else name
        if OmegaConf.is_missing(node, name):
            node = None  # type: ignore[assignment]
        else:
            child = node._get_node(name)
            node = child if isinstance(child, DictConfig) and not OmegaConf.is_interpolation(node, name) else None  # type: ignore[assignment]
    return place, node


def _arguments(node: DictConfig) -> list[str]:
    try:
        return list(arguments_of(locate(str(node["_target_"]))))
    except (ConfigError, ValueError):
        return []
