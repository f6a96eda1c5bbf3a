"""The jobs of a sweep, known before the first one runs."""

from __future__ import annotations

from collections.abc import Sequence

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig

from hydramol.core.errors import ConfigError
from hydramol.runtime.check import ConfigErrors
from hydramol.runtime.compose import Composition, composition, hydra_for, parse_overrides


def check_jobs(root: str, overrides: Sequence[str], config_dir: str | None) -> list[Composition]:
    """Composes and checks every job of a sweep.

    Sweepers that choose as they go (optuna) have no list of jobs; of theirs one is checked, with the first value of
    each choice and without the keys that have only a range.

    Raises:
        ConfigErrors: With what is wrong with any of them.
    """
    parsed = _parse(root, overrides, config_dir)
    plain = [str(one.input_line) for one in parsed if not one.is_sweep_override()]
    first = [_first(one) for one in parsed if one.is_sweep_override() and one.is_discrete_sweep()]
    compositions = [composition(root, [*plain, *first], config_dir)]
    sweeper = compositions[0].full.hydra.sweeper
    if str(sweeper._target_).endswith(".BasicSweeper"):
        jobs = _jobs(root, overrides, sweeper, config_dir)
        compositions = [composition(root, job, config_dir) for job in jobs]
    errors = [error for one in compositions for error in one.errors()]
    if errors:
        raise ConfigErrors(errors)
    return compositions


def _jobs(root: str, overrides: Sequence[str], sweeper: DictConfig, config_dir: str | None) -> list[list[str]]:
    params = [f"{key}={value}" for key, value in (sweeper.get("params") or {}).items()]
    parsed = _parse(root, [*params, *overrides], config_dir)
    try:
        (jobs,) = BasicSweeper.split_arguments(parsed, None)
    except HydraException as error:
        raise ConfigError(str(error).splitlines()[0], fix="choose hydra/sweeper=...") from None
    return jobs


def _parse(root: str, overrides: Sequence[str], config_dir: str | None) -> list[Override]:
    with hydra_for(root, config_dir) as hydra:
        return parse_overrides(overrides, hydra.config_loader)


def _first(override: Override) -> str:
    return f"{override.get_key_element()}={next(iter(override.sweep_string_iterator()))}"
