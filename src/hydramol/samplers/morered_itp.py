"""MoreRed-ITP: the time is predicted once, then a fixed schedule leads back (Kahouli et al. 2024, arXiv:2404.10935)."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from hydramol.samplers.arguments import check_counts
from hydramol.samplers.self_timed import SelfTimed
from hydramol.samplers.stopping import Rule, StoppingRules


class MoreRedITP(SelfTimed):
    """Each molecule begins at the step the model sees in it and goes back one step at a time.

    Args:
        n_samples: Structures to draw, for those who prepare the conditions.
        max_steps: Steps after which a molecule counts as not converged; None takes as many as the path has.
        convergence_step: A molecule leaves after the step with this number; 0 is the last of the path.
        frame_averaging: Average the model over the principal frames of each molecule, which makes it equivariant.
        record_every: Keep the positions before every k-th step; 0 keeps none.
        time_ckpt: Checkpoint or run directory of a time predictor, which the runtime loads and attaches to the model;
            None where the model tells the time itself.
    """

    reported: ClassVar[tuple[Rule, ...]] = ("published",)

    def __init__(
        self,
        n_samples: int = 32,
        max_steps: int | None = None,
        convergence_step: int = 0,
        frame_averaging: bool = False,
        record_every: int = 0,
        time_ckpt: str | None = None,
    ) -> None:
        check_counts(n_samples, max_steps, record_every)
        self.n_samples = n_samples
        self.max_steps = max_steps
        self.stop: Rule = "published"
        self.rules = StoppingRules(convergence_step)
        self.frame_averaging = frame_averaging
        self.record_every = record_every
        self.time_ckpt = time_ckpt

    def next_time(self, t: Tensor) -> Tensor:
        """One step back along the path."""
        return (t - 1).clamp(min=0)
