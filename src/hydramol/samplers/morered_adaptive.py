"""MoreRed-JT and MoreRed-AS: the time is found anew at each step (Kahouli et al. 2024, arXiv:2404.10935)."""

from __future__ import annotations

from torch import Tensor

from hydramol.samplers.arguments import check_counts
from hydramol.samplers.self_timed import SelfTimed
from hydramol.samplers.stopping import RULES, Rule, StoppingRules


class MoreRedAdaptive(SelfTimed):
    """At each step the model says how noised a molecule is, and takes a reverse step from there.

    With a joint model this is MoreRed-JT; with a denoiser and a time predictor it is MoreRed-AS. The time of the start
    is not needed, which makes it a relaxation. The state is float64, the net sees it in float32. Noise belongs to
    (item, step), so a molecule ends at the same place whatever else is in the batch and whenever others leave it.

    Args:
        n_samples: Structures to draw, for those who prepare the conditions.
        max_steps: Steps after which a molecule counts as not converged; None takes as many as the path has.
        stop: Rule that ends a molecule: "published" or "robust", see `StoppingRules`; both are reported.
        convergence_step: See `StoppingRules`.
        window: See `StoppingRules`.
        time_below: See `StoppingRules`.
        slope: See `StoppingRules`.
        displacement: See `StoppingRules`.
        frame_averaging: Average the model over the principal frames of each molecule, which makes it equivariant.
        record_every: Keep the positions before every k-th step; 0 keeps none.
        time_ckpt: Checkpoint or run directory of a time predictor, which the runtime loads and attaches to the model;
            None where the model tells the time itself.
    """

    def __init__(
        self,
        n_samples: int = 32,
        max_steps: int | None = 2000,
        stop: Rule = "published",
        convergence_step: int = 0,
        window: int = 20,
        time_below: float = 50.0,
        slope: float = 0.1,
        displacement: float = 0.002,
        frame_averaging: bool = False,
        record_every: int = 0,
        time_ckpt: str | None = None,
    ) -> None:
        check_counts(n_samples, max_steps, record_every)
        if stop not in RULES:
            raise ValueError(f"sampler.stop={stop!r}: one of {', '.join(RULES)}")
        self.n_samples = n_samples
        self.max_steps = max_steps
        self.stop: Rule = stop
        self.rules = StoppingRules(convergence_step, window, time_below, slope, displacement)
        self.frame_averaging = frame_averaging
        self.record_every = record_every
        self.time_ckpt = time_ckpt

    def next_time(self, t: Tensor) -> None:
        """Asked anew at each step."""
