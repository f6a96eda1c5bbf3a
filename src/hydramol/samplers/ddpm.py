"""Ancestral sampling of a discrete diffusion (Ho, Jain & Abbeel, NeurIPS 2020, algorithm 2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor

from hydramol.core.batch import Batch
from hydramol.core.protocols import Denoiser, Samples
from hydramol.core.randomness import Randomness
from hydramol.samplers.arguments import check_counts
from hydramol.samplers.frame_averaging import FrameAveraging
from hydramol.samplers.start import first_positions


class DDPM:
    """Walks the reverse chain with a fixed schedule that all molecules share.

    The state is float64, the net sees it in float32. Every molecule's noise comes from its own key, so a sample does
    not depend on what else is in the batch.

    Args:
        n_samples: Structures to draw, for those who prepare the conditions.
        max_steps: Most network calls. Where the chain is longer, evenly spaced steps of it are taken, with variances
            for the strides (Nichol & Dhariwal, ICML 2021, section 4). None takes every step.
        record_every: Keep the positions before every k-th step; 0 keeps none.
        frame_averaging: Average the net over the principal frames of each structure, see `FrameAveraging`: equivariant
            steps from any net, at four times the cost.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"discrete"})

    def __init__(
        self,
        n_samples: int = 32,
        max_steps: int | None = None,
        record_every: int = 0,
        frame_averaging: bool = False,
    ) -> None:
        check_counts(n_samples, max_steps, record_every)
        self.n_samples = n_samples
        self.max_steps = max_steps
        self.record_every = record_every
        self.frame_averaging = frame_averaging

    def steps(self, n_steps: int) -> list[int]:
        """The steps taken, from ``n_steps - 1`` down to 0; a single one leads straight to the clean end."""
        count = n_steps if self.max_steps is None else min(self.max_steps, n_steps)
        last = n_steps - 1
        return [last - round(last * k / max(count - 1, 1)) for k in range(count)]

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
        """Draws one structure for each item of the condition.

        Args:
            denoise: ``(x float32, t int64 [items], condition) -> Output``; t are steps of the transport's path.
            transport: A `Transport` on a discrete path.
            start: Structures noised ``t_start`` times, ``[rows..., 3]`` in the layout of the condition, Angstrom; None
                draws from the prior.
            condition: What is given of each molecule (elements, sizes, item numbers).
            t_start: Noising steps to undo, 1 ... T; the start is a state at index ``t_start - 1``. T by default.
            random: Where the noise comes from; step t uses the draw t, so a chain that is continued from a recorded
                state ends where the uninterrupted one does.
            observer: Called after each step with the number of steps done and the positions.

        Returns:
            Positions in float64. ``converged`` is False for molecules whose positions became infinite or nan.
        """
        longest = transport.path.n_steps
        n_steps = longest if t_start is None else t_start
        if isinstance(n_steps, float) or not 1 <= n_steps <= longest:
            raise ValueError(f"t_start={t_start}: a whole number of steps from 1 to {longest}")
        if start is None and n_steps < longest:
            raise ValueError(f"t_start={t_start} needs structures to start from; noise belongs to t_start={longest}")
        x = first_positions(start, condition, transport, random)
        if self.frame_averaging:
            denoise = FrameAveraging(denoise)
        steps = self.steps(n_steps)
        noise = random.for_stream("reverse")
        trajectory = []
        for done, (step, previous) in enumerate(zip(steps, [*steps[1:], -1], strict=True)):
            if self.record_every and done % self.record_every == 0:
                trajectory.append(x.to("cpu", torch.float32))
            t = torch.full((len(condition),), step, dtype=torch.int64, device=x.device)
            output = denoise(x.to(torch.float32), t, condition)
            x = transport.reverse_step(x, output.x, t, condition, noise.at(step), torch.full_like(t, previous))
            if observer is not None:
                observer(done + 1, x)
        broken = condition.sum((~x.isfinite()).any(-1, keepdim=True).to(torch.int64))[:, 0] > 0
        return Samples(
            x=x,
            n_steps=torch.full((len(condition),), len(steps), dtype=torch.int64, device=x.device),
            converged=~broken,
            n_evals=len(steps),
            trajectory=torch.stack(trajectory) if trajectory else None,
        )
