"""MoreRed-ITP: the time is predicted once, then a fixed schedule leads back (Kahouli et al. 2024, arXiv:2404.10935)."""

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
from hydramol.samplers.stopping import StoppingRules
from hydramol.samplers.walk import Walk, step_of


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
        self.rules = StoppingRules(convergence_step)
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
        """Draws or relaxes one structure for each item; see `MoreRedAdaptive.sample`."""
        denoise = FrameAveraging(denoise) if self.frame_averaging else denoise
        flat = condition.to_layout("flat")
        walk = Walk(first_positions(start, condition, transport, random), flat, self.rules, "published")
        noise = random.for_stream("reverse")
        trajectory: list[Tensor] = []
        t: Tensor | None = None
        n_evals = 0
        for k in self.steps(transport.path.n_steps):
            if self.record_every and k % self.record_every == 0:
                trajectory.append(walk.everyone().to("cpu", torch.float32))
            output = denoise(walk.x.to(torch.float32), t, walk.condition)
            n_evals += 1
            if t is None:
                assert output.time is not None, "the denoiser must tell the time"
                t = step_of(output.time, transport)
            stays = walk.step(t, transport.reverse_step(walk.x, output.x, t, walk.condition, noise.at(k)))
            t = (t - 1).clamp(min=0)[stays]
            if observer is not None:
                observer(k + 1, walk.everyone())
            if len(walk.condition) == 0:
                break
        samples = walk.samples(condition, n_evals, trajectory)
        samples.stopped = {"published": samples.stopped["published"]}
        return samples
