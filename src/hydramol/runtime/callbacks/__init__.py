"""Lightning callbacks of every run."""

from hydramol.runtime.callbacks.carry_config import CarryConfig
from hydramol.runtime.callbacks.epoch_boundary import EpochBoundary
from hydramol.runtime.callbacks.plain_progress import PlainProgress
from hydramol.runtime.callbacks.run_summary import RunSummary
from hydramol.runtime.callbacks.skip_steps import SkipSteps
from hydramol.runtime.callbacks.step_seed import StepSeed
from hydramol.runtime.callbacks.timings import PhaseTimings

__all__ = ["CarryConfig", "EpochBoundary", "PhaseTimings", "PlainProgress", "RunSummary", "SkipSteps", "StepSeed"]
