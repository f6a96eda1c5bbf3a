"""From a root and overrides to one configuration, as the doors, tests and notebooks need it.

``compose("train", ["net=painn"])`` gives what ``hydramol train net=painn`` runs with. The other functions start from
the configuration that a run or checkpoint carries.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra import version
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_loader import ConfigLoader
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.default_element import GroupDefault
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict

from hydramol.core.errors import ConfigError
from hydramol.runtime.check import ConfigErrors, find_errors
from hydramol.runtime.check.diagnosis import COMPOSING, Diagnosis, unreadable
from hydramol.runtime.check.suggest import did_you_mean
from hydramol.runtime.check.targets import trust
from hydramol.runtime.options import PRESET_GROUPS, config_folder, group_names, option_names

TRAINED_GROUPS = ("model", "net", "transport", "adapter")
"""Groups that made the weights of a checkpoint; beside them they cannot change."""

ALIASES: Mapping[str, Mapping[str, str]] = {"prepare": {"data": "prepare/data@data"}}
"""By root: short names of groups. Builders of data sets are options of their own, apart from the data sets."""


@dataclass(frozen=True)
class Composition:
    """A composed configuration and where it came from.

    Attributes:
        root: Name of the primary YAML file, "train".
        full: Everything, with Hydra's own node.
        choices: Option of each group.
        config_dir: The user's own folder of YAML files, or None.
    """

    root: str
    full: DictConfig
    choices: dict[str, str]
    config_dir: str | None = None

    @property
    def config(self) -> DictConfig:
        """The configuration without Hydra's own node."""
        config = self.full.copy()
        with open_dict(config):
            config.pop("hydra", None)
        return config

    def reference(self) -> dict[str, Any]:
        """The same options as their files state them, without presets and overrides."""
        with hydra_for(self.root, self.config_dir) as hydra:
            listed = _listed_groups(hydra, self.root)
            overrides = [
                f"{'' if group in listed else '+'}{group}={_text(option)}"
                for group, option in self.choices.items()
                if not group.startswith("hydra/") and group not in ("hydra", *PRESET_GROUPS)
            ]
            overrides += [f"~{group}" for group in PRESET_GROUPS if group in listed]
            full = _compose(hydra, self.root, overrides)
        plain: dict[str, Any] = OmegaConf.to_container(full, resolve=False)  # type: ignore[assignment]
        del plain["hydra"]
        return plain

    def errors(self) -> list[ConfigError]:
        """All that the check finds wrong; from here on the user's own ``extensions`` are trusted."""
        trust(_packages(self.full))
        return find_errors(self.config, self.reference(), self.choices, config_folders(self.config_dir))


def compose(root: str = "train", overrides: Sequence[str] = (), config_dir: str | None = None) -> DictConfig:
    """Composes and names a configuration; nothing is checked beyond what composing needs.

    Args:
        root: "train", "sample", "evaluate", "prepare" or "distill".
        overrides: As on the command line.
        config_dir: The user's own folder of YAML files.

    Raises:
        ConfigErrors: Overrides or YAML files do not fit together.
    """
    return composition(root, overrides, config_dir).config


def composition(root: str, overrides: Sequence[str] = (), config_dir: str | None = None) -> Composition:
    """Composes a configuration and keeps where it came from.

    Raises:
        ConfigErrors: Overrides or YAML files do not fit together.
    """
    overrides = expand_aliases(root, overrides, config_dir)
    with hydra_for(root, config_dir) as hydra:
        try:
            full = _compose(hydra, root, overrides)
        except COMPOSING:
            found = Diagnosis(hydra, root, overrides, config_folders(config_dir))
        else:
            return Composition(root, full, _choices(full), config_dir)
    raise ConfigErrors([*found.errors, *_errors_of_the_rest(root, found, config_dir)])


def to_plain(config: DictConfig) -> dict[str, Any]:
    """Resolved plain containers, as they go into checkpoints."""
    plain: dict[str, Any] = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)  # type: ignore[assignment]
    return plain


def root_keys(root: str, config_dir: str | None = None) -> list[str]:
    """Keys at the top of a root, groups among them, whatever is chosen in it."""
    with hydra_for(root, config_dir) as hydra:
        loaded = hydra.config_loader.repository.load_config(root)  # type: ignore[attr-defined]
        groups = {group.rpartition("@")[2] for group in _listed_groups(hydra, root)}
    return sorted({*map(str, loaded.config if loaded else ()), *groups} - {"hydra"})


def config_folders(config_dir: str | None = None) -> list[Path]:
    """Folders of YAML files, ours and the user's.

    Raises:
        ConfigError: The user's folder does not exist.
    """
    if config_dir is None:
        return [config_folder()]
    folder = Path(config_dir).absolute()
    if not folder.is_dir():
        raise ConfigError(f"--config-dir {config_dir}: no such folder")
    return [config_folder(), folder]


def expand_aliases(root: str, overrides: Sequence[str], config_dir: str | None = None) -> list[str]:
    """Replaces short forms in overrides.

    ``group=null`` means the option ``none`` (no preset, for a group of presets), which Hydra alone would refuse, and a
    root's short group names are written out; values inside groups stay as they are (``data.seed=1``).
    """
    aliases = ALIASES.get(root, {})
    folders = config_folders(config_dir)
    groups = group_names(folders)
    expanded = []
    for override in overrides:
        key, equals, value = override.partition("=")
        if value == "null" and key in groups:
            override = f"{key}=none" if "none" in option_names(key, folders) else f"~{key}"
        elif key in aliases:
            override = f"{aliases[key]}{equals}{value}"
        expanded.append(override)
    return expanded


# --- a configuration that a run or checkpoint carries ----------------------------------------------------------------


def compose_from(stored: Mapping[str, Any], overrides: Sequence[str] = (), config_dir: str | None = None) -> DictConfig:
    """Changes a stored configuration and checks the result.

    Args:
        stored: Plain, resolved configuration.
        overrides: Values (``sampler.n_samples=4``) and options (``sampler=ddpm``) as on the command line; the groups
            that made the weights stay.
        config_dir: The user's own folder of YAML files.

    Raises:
        ConfigErrors: An override does not fit, or tries to change the trained model.
    """
    config = OmegaConf.create(dict(stored))
    folders = config_folders(config_dir)
    errors: list[ConfigError] = []
    choices: dict[str, str] = {}
    values = []
    for override in parse_overrides(overrides):
        key = str(override.key_or_group)
        group = key.split(".")[0]
        option = override.value()
        if group in TRAINED_GROUPS:
            errors.append(
                ConfigError(f"{override.input_line} would change the trained model", fix="train again instead")
            )
        elif override.is_delete():
            errors.append(ConfigError(f"{override.input_line}: a stored key cannot be deleted", fix=f"set {key}=null"))
        elif group not in config:
            errors.append(ConfigError(f"unknown key {key}{did_you_mean(group, map(str, config))}"))
        elif key == group and not isinstance(option, dict) and group in group_names(folders):
            choices[group] = str(override.get_value_element_as_str())
        else:
            values.append((key, option))
    reference = OmegaConf.create(dict(stored))
    for group, option in choices.items():
        fresh = compose("train", ["experiment=null", f"{group}={option}"], config_dir)[group]
        config[group] = fresh
        reference[group] = fresh
    for key, value in values:
        OmegaConf.update(config, key, value, force_add=True)
    plain: dict[str, Any] = OmegaConf.to_container(reference, resolve=False)  # type: ignore[assignment]
    errors += find_errors(config, plain, choices, folders)
    if errors:
        raise ConfigErrors(errors)
    return config


def _errors_of_the_rest(root: str, found: Diagnosis, config_dir: str | None) -> list[ConfigError]:
    """What the check says of the overrides that do compose, so that all errors are seen at once.

    Skipped where nothing but options remains, because judging values imports what they configure, which takes seconds.
    """
    if not found.has_values:
        return []
    try:
        return composition(root, found.sound, config_dir).errors()
    except ConfigErrors as errors:
        return errors.errors


def _packages(full: DictConfig) -> list[str]:
    """The root key ``extensions``; nonsense in it is the check's business."""
    packages = full.get("extensions")
    return [str(package) for package in packages] if isinstance(packages, ListConfig) else []


def _choices(full: DictConfig) -> dict[str, str]:
    return {str(group): _text(option) for group, option in full.hydra.runtime.choices.items() if option is not None}


# --- Hydra ----------------------------------------------------------------------------------------------------------


def experiment_name(_root_: DictConfig) -> str:
    """Name of the chosen experiment: the resolver behind the root key ``name``."""
    option = OmegaConf.select(_root_, "hydra.runtime.choices.experiment")
    return "unnamed" if option in (None, "null") else re.sub(r"[^\w./-]+", "_", _text(option)).strip("_")


OmegaConf.register_new_resolver("experiment_name", experiment_name, replace=True)


def keep_name(config: DictConfig, full: DictConfig) -> None:
    """Writes the experiment's name out, so that it outlives Hydra's own node.

    Args:
        config: Gets the name.
        full: A configuration with Hydra's own node.
    """
    if "name" in config and OmegaConf.is_interpolation(config, "name"):
        config.name = experiment_name(full)


@contextmanager
def hydra_for(root: str, config_dir: str | None = None) -> Iterator[Hydra]:
    """Hydra over our YAML files and, after them, the user's; one that may be running already is left as it was."""
    version.setbase("1.3")
    ours, *users = config_folders(config_dir)
    search_path = create_config_search_path(str(ours))
    for folder in users:
        search_path.prepend("command-line", f"file://{folder}", anchor=SearchPathQuery(provider="schema"))
    running = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        yield Hydra.create_main_hydra2(task_name=root, config_search_path=search_path)
    finally:
        GlobalHydra.instance().hydra = running


def _compose(hydra: Hydra, root: str, overrides: Sequence[str]) -> DictConfig:
    full = hydra.compose_config(
        config_name=root,
        overrides=list(overrides),
        run_mode=RunMode.RUN,
        from_shell=False,
        with_log_configuration=False,
    )
    keep_name(full, full)
    return full


def _listed_groups(hydra: Hydra, root: str) -> set[str]:
    """Groups that a root's own defaults list names."""
    loaded = hydra.config_loader.repository.load_config(root)  # type: ignore[attr-defined]
    defaults = [one for one in (loaded.defaults_list if loaded else None) or [] if isinstance(one, GroupDefault)]
    return {f"{one.group.lstrip('/')}{f'@{one.package}' if one.package else ''}" for one in defaults if one.group}


def parse_overrides(overrides: Sequence[str], config_loader: ConfigLoader | None = None) -> list[Override]:
    """Parses overrides, all of them before any is refused.

    Args:
        overrides: As on the command line.
        config_loader: Hydra's, which tells groups from keys; needed for sweeps over globs alone.

    Raises:
        ConfigErrors: With every one that cannot be read.
    """
    parser = OverridesParser.create(config_loader=config_loader)
    parsed, errors = [], []
    for override in overrides:
        try:
            parsed.append(parser.parse_override(override))
        except HydraException as error:
            errors.append(unreadable(override, error))
    if errors:
        raise ConfigErrors(errors)
    return parsed


def _text(option: Any) -> str:
    if isinstance(option, str) or option is None:
        return str(option if option is not None else "null")
    return "[" + ",".join(str(one) for one in option) + "]"
