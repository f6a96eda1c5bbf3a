"""What one job does, alone or in a sweep: name its directory, then call the runtime.

Launchers import this module in their own processes, so it brings what composing there needs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from hydramol.cli.changes import OPTION, VALUE, reveal
from hydramol.core.errors import ConfigError
from hydramol.runtime.check.targets import trust
from hydramol.runtime.compose import keep_name


def run_job(door: str, config: DictConfig, changes: list[str] | None = None) -> Any:
    """Runs one configuration.

    Args:
        door: "train", "sample", "evaluate" or "prepare".
        config: Composed and checked, without Hydra's own node.
        changes: Overrides of the stored configuration; by default those that a sweep carries.

    Returns:
        The scalars of the run, or the one that a sweeper optimises.
    """
    hydra = HydraConfig.get()
    typed = [str(override) for override in hydra.overrides.task]
    if changes is None:
        changes = reveal(typed)
    with open_dict(config):
        config.pop(OPTION.strip("+."), None)
        config.pop(VALUE.strip("+."), None)
        keep_name(config, OmegaConf.create({"hydra": hydra}))
        # `hydra.run.dir` and the job number of a sweep move the directory; everything of ours looks here.
        if Path(str(config.paths.output_dir)).absolute() != Path(hydra.runtime.output_dir):
            config.paths.output_dir = hydra.runtime.output_dir
    trust(str(package) for package in config.get("extensions") or ())

    from hydramol.runtime import run

    from_stored = door in ("sample", "evaluate") or config.get("resume") is not None
    scalars = getattr(run, door)(config, changes if from_stored else typed)
    return _optimized(config.get("optimized_metric"), scalars)


def _optimized(name: str | None, scalars: Any) -> Any:
    if name is None:
        return scalars
    if name not in scalars:
        raise ConfigError(
            f"optimized_metric={name}: the run has no such scalar", fix=f"it has {', '.join(sorted(scalars))}"
        )
    return float(scalars[name])
