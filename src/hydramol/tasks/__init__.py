"""What is asked of a model: generate, relax, simulate, ... A model is given one."""

from hydramol.tasks.generate import Generate
from hydramol.tasks.outcome import Outcome, StructureSet
from hydramol.tasks.predict_time import PredictTime

__all__ = ["Generate", "Outcome", "PredictTime", "StructureSet"]
