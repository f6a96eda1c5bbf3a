"""The check before anything is read: unknown keys, wrong types, missing values, clashes. One line an error.

It walks the composed but unresolved configuration, so that errors name the user's key, and gathers all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig

from hydramol.core.errors import ConfigError
from hydramol.runtime.check.fixed import check_fixed
from hydramol.runtime.check.groups import PARTS, check_groups
from hydramol.runtime.check.needs import Part, check_needs, provides, settings_that_provide
from hydramol.runtime.check.targets import locate
from hydramol.runtime.check.walk import Walk, is_node
from hydramol.runtime.options import option_file, option_names

__all__ = ["ConfigErrors", "check", "find_errors"]


class ConfigErrors(ConfigError):
    """Several errors of one configuration.

    Args:
        errors: Each with its own line.
    """

    def __init__(self, errors: Iterable[ConfigError]) -> None:
        self.errors = list(dict.fromkeys(errors))
        super().__init__("; ".join(error.line for error in self.errors))

    @property
    def lines(self) -> list[str]:
        """One line an error, each said once."""
        return list(dict.fromkeys(error.line for error in self.errors))


def check(
    config: DictConfig,
    reference: Mapping[str, Any] | None = None,
    choices: Mapping[str, str] | None = None,
    folders: Iterable[Path] = (),
) -> None:
    """Checks a composed configuration.

    Args:
        config: Composed, unresolved configuration without Hydra's own node.
        reference: The same options without presets and overrides; its keys are the allowed ones of plain mappings.
        choices: Option of each group.
        folders: Folders of YAML files, searched for options to recommend.

    Raises:
        ConfigErrors: With all that is wrong.
    """
    errors = find_errors(config, reference, choices, folders)
    if errors:
        raise ConfigErrors(errors)


def find_errors(
    config: DictConfig,
    reference: Mapping[str, Any] | None = None,
    choices: Mapping[str, str] | None = None,
    folders: Iterable[Path] = (),
) -> list[ConfigError]:
    """What `check` would complain about."""
    choices = choices or {}
    walk = Walk(config, reference, choices)
    errors = [*walk.errors, *check_fixed(walk.plain)]
    model = walk.parts.get("model")
    if model is not None:
        errors += check_groups(walk.plain, model.target, choices)
        parts = [part for path, part in walk.parts.items() if path.split(".")[0] in ("model", *PARTS)]
        folders = list(folders)
        if walk.broken.isdisjoint(("model", *PARTS)):  # what a broken part would provide, nobody knows
            errors += check_needs(
                parts, lambda word: [*settings_that_provide(word, walk.parts), *_providers(word, folders)]
            )
    return errors


def _providers(word: str, folders: list[Path]) -> list[str]:
    """Options whose parts provide a word, ``transport=vp_discrete``."""
    found = []
    for group in ("model", *PARTS):
        for option in option_names(group, folders):
            file = option_file(group, option, folders)
            content = yaml.safe_load(file.read_text(encoding="utf-8")) if file else None
            if any(word in provides(part) for part in _parts_in(content)):
                found.append(f"{group}={option}")
    return found


def _parts_in(content: Any) -> list[Part]:
    if not isinstance(content, Mapping):
        return []
    parts = [part for value in content.values() for part in _parts_in(value)]
    if is_node(content):
        arguments = {key: value for key, value in content.items() if not key.startswith("_")}
        try:
            parts.append(Part("", locate(content["_target_"]), arguments))
        except ConfigError:
            return parts  # an option that needs a package which is not installed provides nothing here
    return parts
