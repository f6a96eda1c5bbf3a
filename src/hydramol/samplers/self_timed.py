"""The reverse process of molecules that find their own time; those that have arrived leave the batch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from hydramol.core.batch import Batch
from hydramol.core.protocols import Denoiser, Samples
from hydramol.core.randomness import Randomness
from hydramol.samplers.frame_averaging import FrameAveraging
from hydramol.samplers.start import first_positions
from hydramol.samplers.stopping import RULES, Rule, StoppingRules
from hydramol.samplers.walk import Walk


class SelfTimed(ABC):
    """Base of the samplers that ask the model for the time: at each step, or only at the first.

    Attributes:
        max_steps: The most steps, or None for as many as the path has.
        stop: Rule that ends a molecule.
        rules: Numbers of the rules.
        frame_averaging: Whether the model is averaged over principal frames.
        record_every: Steps between recorded positions; 0 keeps none.
        reported: Rules that mean something for this sampler.
    """

    max_steps: int | None
    stop: Rule
    rules: StoppingRules
    frame_averaging: bool
    record_every: int
    reported: ClassVar[tuple[Rule, ...]] = RULES

    @classmethod
    def needs_for(cls, time_ckpt: str | None = None) -> frozenset[str]:
        """Words for the configuration check: without a time predictor the model itself must tell the time."""
        return frozenset({"discrete", "noise"} if time_ckpt else {"discrete", "noise", "time"})

    def steps(self, n_steps: int) -> range:
        """The most steps that can be taken on a path of so many."""
        return range(self.max_steps or n_steps)

    @abstractmethod
    def next_time(self, t: Tensor) -> Tensor | None:
        """The step after t of each item, ``[items]``, or None to ask the model again."""

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
            denoise: ``(x float32, t or None, condition) -> Output`` with the time of each item where t is None.
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
        rows = None if start is None else condition.rows(start)
        walk = Walk(first_positions(rows, flat, transport, random), flat, self.rules, self.stop)
        noise = random.for_stream("reverse")
        trajectory: list[Tensor] = []
        t: Tensor | None = None
        most = len(self.steps(transport.path.n_steps))
        n_evals = 0
        for k in range(most):
            if self.record_every and k % self.record_every == 0:
                trajectory.append(walk.everyone().to("cpu", torch.float32))
            output = denoise(walk.x.to(torch.float32), t, walk.condition)
            n_evals += 1
            if t is None:
                assert output.time is not None, "the denoiser must tell the time"
                t = transport.path.nearest(output.time)
            if k == most - 1 and self.stop == "robust":
                walk.finish_all()
            previous = torch.where(walk.finishing, -1, t - 1)
            stays = walk.step(t, transport.reverse_step(walk.x, output.x, t, walk.condition, noise.at(k), previous))
            t = self.next_time(t[stays])
            if observer is not None:
                observer(k + 1, walk.everyone())
            if len(walk.condition) == 0:
                break
        return walk.samples(condition, n_evals, trajectory, self.reported)
