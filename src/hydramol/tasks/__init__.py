"""What is asked of a model: generate, relax, simulate, ... A model is given one."""

from hydramol.tasks.generate import Generate
from hydramol.tasks.inputs import Inputs
from hydramol.tasks.outcome import Outcome, StructureSet
from hydramol.tasks.predict_time import PredictTime
from hydramol.tasks.relax import Relax

__all__ = ["Generate", "Inputs", "Outcome", "PredictTime", "Relax", "StructureSet"]
