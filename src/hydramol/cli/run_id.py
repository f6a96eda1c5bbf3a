"""The name of a run's directory."""

from __future__ import annotations

import os
from datetime import datetime

VARIABLE = "HYDRAMOL_RUN_ID"


def set_run_id() -> None:
    """Sets the run id once; child processes (ranks, jobs of a sweep) inherit it and meet in one directory.

    Under SLURM it is job id and array index alone, so that a requeued job finds its directory again. Elsewhere time and
    process id, so that two runs started together do not share one.
    """
    if VARIABLE not in os.environ:
        os.environ[VARIABLE] = _slurm_id(os.environ) or f"{datetime.now():%Y-%m-%d_%H-%M-%S-%f}_{os.getpid()}"


def _slurm_id(environment: os._Environ[str] | dict[str, str]) -> str | None:
    if "SLURM_ARRAY_TASK_ID" in environment:
        return f"{environment['SLURM_ARRAY_JOB_ID']}_{environment['SLURM_ARRAY_TASK_ID']}"
    return environment.get("SLURM_JOB_ID")
