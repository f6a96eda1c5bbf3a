"""From the command line to a checked configuration and a run.

Hydra composes and sweeps. A single run is composed once, checked, and only then given a directory, so that a mistyped
key costs less than a second and leaves nothing behind.
"""

from __future__ import annotations

import argparse
import os
from functools import partial
from pathlib import Path
from typing import Any

from hydra._internal.callbacks import Callbacks
from hydra._internal.utils import get_args_parser
from hydra.core import utils
from hydra.types import HydraContext
from omegaconf import DictConfig, ListConfig, OmegaConf

from hydramol.cli.changes import disguise
from hydramol.cli.job import run_job
from hydramol.cli.stored import check_stored, directory_of, split_overrides
from hydramol.cli.sweep import check_jobs
from hydramol.core.errors import ConfigError, OutputError
from hydramol.runtime.check import ConfigErrors
from hydramol.runtime.compose import Composition, compose, composition, expand_aliases, hydra_for


class Command:
    """A door's command line.

    Args:
        root: Name of the root YAML file and of the function in `hydramol.runtime.run`.
        argv: Arguments after the door's name.
        refusal: Why the door cannot run yet, said once the configuration composes.
    """

    def __init__(self, root: str, argv: list[str], refusal: str | None) -> None:
        self.root = root
        self.refusal = refusal
        self.flags = _parse_flags(argv)
        self.config_dir: str | None = self.flags.config_dir
        self.overrides = expand_aliases(root, self.flags.overrides, self.config_dir)

    def execute(self) -> None:
        """Does what the flags ask for."""
        flags = self.flags
        if flags.shell_completion or flags.info or flags.hydra_help or flags.cfg in ("hydra", "all"):
            self._ask_hydra()
        elif flags.cfg == "job":
            self._show()
        elif flags.multirun:
            self._sweep()
        else:
            self._run()

    # --- looking ------------------------------------------------------------------------------------------------------

    def _ask_hydra(self) -> None:
        flags = self.flags
        if not flags.shell_completion:
            composition(self.root, self.overrides, self.config_dir)  # complains in one line, where Hydra takes many
        with hydra_for(self.root, self.config_dir) as hydra:
            if flags.shell_completion:
                hydra.shell_completion(self.root, self.overrides)
            elif flags.info:
                hydra.show_info(flags.info, self.root, self.overrides)
            elif flags.hydra_help:
                hydra.hydra_help(self.root, get_args_parser(), flags)
            else:
                hydra.show_cfg(self.root, self.overrides, flags.cfg, flags.package, flags.resolve)

    def _show(self) -> None:
        config: Any = compose(self.root, self.overrides, self.config_dir)
        if self.flags.resolve:
            OmegaConf.resolve(config)
        package = self.flags.package
        shown = OmegaConf.select(config, package) if package else config
        if shown is None:
            raise ConfigError(f"--package {package}: no such key")
        print(OmegaConf.to_yaml(shown) if isinstance(shown, (DictConfig, ListConfig)) else shown, end="")

    # --- running ------------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        own, changes = split_overrides(self.root, self.overrides, self.config_dir)
        own += directory_of(self.root, own)
        composed = composition(self.root, own, self.config_dir)
        errors = composed.errors()
        if errors:
            raise ConfigErrors(errors)
        config = composed.config
        if self.refusal:
            raise ConfigError(self.refusal)
        if config.check:
            check_stored(self.root, config, changes, self.config_dir)
            print(_summary(composed))
            return
        _make_directory(Path(str(composed.full.hydra.run.dir)))
        with hydra_for(self.root, self.config_dir) as hydra:
            done = utils.run_job(
                task_function=partial(run_job, self.root, changes=changes),
                config=composed.full,
                job_dir_key="hydra.run.dir",
                job_subdir_key=None,
                hydra_context=HydraContext(hydra.config_loader, Callbacks(composed.full)),
            )
        if isinstance(done._return_value, Exception):  # the property would print more lines
            raise done._return_value

    def _sweep(self) -> None:
        own, changes = split_overrides(self.root, self.overrides, self.config_dir)
        if any(override.startswith("resume=") for override in own):
            raise ConfigError("resume continues one run", fix="leave out -m")
        jobs = check_jobs(self.root, own, self.config_dir)
        if self.refusal:
            raise ConfigError(self.refusal)
        if jobs[0].config.check:
            print("\n".join(dict.fromkeys(_summary(job) for job in jobs)))
            return
        _make_directory(Path(str(jobs[0].full.hydra.sweep.dir)))
        # Hydra would print an exception of a job as a traceback and exit; this way it reaches `run_door`.
        os.environ["HYDRA_FULL_ERROR"] = "1"
        overrides = [*own, *map(disguise, changes), "hydra.mode=MULTIRUN"]
        with hydra_for(self.root, self.config_dir) as hydra:
            hydra.multirun(config_name=self.root, task_function=partial(run_job, self.root), overrides=overrides)


def _parse_flags(argv: list[str]) -> argparse.Namespace:
    parser = get_args_parser()

    def refuse(message: str) -> None:
        raise ConfigError(message, fix="--help lists the flags")

    parser.error = refuse  # type: ignore[method-assign, assignment]
    flags = parser.parse_intermixed_args(argv)
    if flags.config_path is not None or flags.config_name is not None:
        raise ConfigError(
            "--config-path and --config-name would replace our YAML files", fix="add yours with --config-dir"
        )
    return flags


def _make_directory(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
        if not os.access(path, os.W_OK):
            raise PermissionError("no permission to write")
    except OSError as error:
        reason = error.strerror or str(error)
        raise OutputError(f"cannot be written: {reason}", where=str(path), fix="choose paths.output_dir=...") from error


def _summary(composed: Composition) -> str:
    """What was composed, in one line, in the order of the configuration."""
    choices = {group.rpartition("@")[2]: option for group, option in composed.choices.items()}
    names = ["experiment", *(str(key) for key in composed.config if key not in ("experiment", "paths"))]
    chosen = [f"{name}={choices[name]}" for name in names if choices.get(name, "none") != "none"]
    return " ".join(["ok:", *(chosen or [composed.root])])
