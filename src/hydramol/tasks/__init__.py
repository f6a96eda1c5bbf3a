"""What is asked of a model: generate, relax, simulate, ... A model is given one."""

from hydramol.tasks.generate import Generate
from hydramol.tasks.outcome import Outcome, StructureSet

__all__ = ["Generate", "Outcome", "StructureSet"]
