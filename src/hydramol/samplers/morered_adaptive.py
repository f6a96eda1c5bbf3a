"""MoreRed-JT and MoreRed-AS: the time is found anew at each step (Kahouli et al. 2024, arXiv:2404.10935)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from hydramol.core.batch import Batch
from hydramol.core.protocols import Denoiser, Samples
from hydramol.core.randomness import Randomness
from hydramol.samplers.arguments import check_counts
from hydramol.samplers.frame_averaging import FrameAveraging
from hydramol.samplers.self_timed import SelfTimed
from hydramol.samplers.start import first_positions
from hydramol.samplers.stopping import RULES, Rule, StoppingRules
from hydramol.samplers.walk import Walk, step_of


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

    @torch.no_grad()
    def sample(
        self,
        denoise: Denoiser,
        transport: Any,
        start: Tensor | None,
        condition: Batch,
        *,
        t_start: int | float | None = None,
        random: Randomness,
        observer: Callable[[int, Tensor], None] | None = None,
    ) -> Samples:
        """Draws or relaxes one structure for each item of the condition.

        Args:
            denoise: ``(x float32, None, condition) -> Output`` with the time of each item.
            transport: A `Transport` on a discrete path.
            start: Structures however noised, ``[rows..., 3]`` in the layout of the condition, Angstrom; None draws from
                the prior.
            condition: What is given of each molecule (elements, sizes, item numbers).
            t_start: Not needed; taken so that all samplers are called alike.
            random: Where the noise comes from; the k-th step uses the draw k.
            observer: Called after each step with the number of steps done and the positions of all, flat.

        Returns:
            Positions in float64. ``converged`` says for whom the chosen rule held, ``stopped`` when each first did.
        """
        denoise = FrameAveraging(denoise) if self.frame_averaging else denoise
        flat = condition.to_layout("flat")
        walk = Walk(first_positions(start, condition, transport, random), flat, self.rules, self.stop)
        noise = random.for_stream("reverse")
        trajectory = []
        most = len(self.steps(transport.path.n_steps))
        n_evals = 0
        for k in range(most):
            if self.record_every and k % self.record_every == 0:
                trajectory.append(walk.everyone().to("cpu", torch.float32))
            output = denoise(walk.x.to(torch.float32), None, walk.condition)
            n_evals += 1
            assert output.time is not None, "the denoiser must tell the time"
            t = step_of(output.time, transport)
            if k == most - 1 and self.stop == "robust":
                walk.finish_all()
            previous = torch.where(walk.finishing, -1, t - 1)
            walk.step(t, transport.reverse_step(walk.x, output.x, t, walk.condition, noise.at(k), previous))
            if observer is not None:
                observer(k + 1, walk.everyone())
            if len(walk.condition) == 0:
                break
        return walk.samples(condition, n_evals, trajectory)
