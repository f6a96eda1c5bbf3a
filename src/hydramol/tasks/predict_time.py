"""Measuring a time predictor; it draws nothing itself but serves MoreRed-AS and -ITP."""

from __future__ import annotations

from typing import Any, ClassVar

from hydramol.core.errors import ConfigError
from hydramol.core.protocols import Stage
from hydramol.core.randomness import Randomness
from hydramol.evaluation.time_prediction import time_errors, time_prediction
from hydramol.tasks.inputs import NOTHING, Inputs
from hydramol.tasks.outcome import Outcome


class PredictTime:
    """How well the time of noised structures is told."""

    needs: ClassVar[frozenset[str]] = frozenset({"time"})

    def sample(self, model: Any, random: Randomness, inputs: Inputs = NOTHING) -> Outcome:
        """Refused: there is nothing to draw.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError(
            "a time predictor draws no structures",
            where="task=predict_time",
            fix="sample from a denoiser: ckpt=<denoiser> sampler=morered_as sampler.time_ckpt=<this one>",
        )

    def evaluate(self, model: Any, data: Any, split: Stage, random: Randomness) -> Outcome:
        """Measures the predictions on a split.

        Args:
            model: Has ``predict_time`` and ``transport``.
            data: A DataModule.
            split: "val" or "test".
            random: Decides times and noise.
        """
        batches = (batch.to(model.device) for batch in data.loader(split))
        return Outcome(time_prediction(time_errors(model.predict_time, model.transport, batches, random)))
