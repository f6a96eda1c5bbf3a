"""The molecules of a reverse process: those that have arrived leave the batch and cost nothing any more."""

from __future__ import annotations

import torch
from torch import Tensor

from hydramol.core.batch import Batch
from hydramol.core.protocols import Samples
from hydramol.samplers.stopping import RULES, Rule, StoppingRules, StoppingWatch


class Walk:
    """Positions and records of all molecules, and the batch of those that still move.

    Args:
        x: Positions to start from, flat ``[rows, 3]`` float64.
        condition: The flat batch.
        rules: When a molecule is done.
        stop: Which of the rules ends it.

    Attributes:
        x: Positions of those that move.
        condition: Their batch.
        finishing: Whose next step is the last, to the clean end, ``[items]`` bool.
    """

    def __init__(self, x: Tensor, condition: Batch, rules: StoppingRules, stop: Rule) -> None:
        self.stop = stop
        self.x = x
        self.condition = condition
        self.finishing = torch.zeros(len(condition), dtype=torch.bool, device=x.device)
        self._all = x.clone()
        self._active = torch.arange(len(condition), device=x.device)
        self._rows = torch.arange(len(x), device=x.device)
        self._watch = StoppingWatch(rules, x, condition)
        self._n_steps = torch.zeros_like(self._active)
        self._converged = self.finishing.clone()
        self._stopped = {rule: torch.full_like(self._active, -1) for rule in RULES}

    def everyone(self) -> Tensor:
        """Positions of all molecules, flat ``[rows, 3]``."""
        return self._all.index_copy(0, self._rows, self.x)

    def finish_all(self) -> None:
        """The next step is the last."""
        self.finishing = torch.ones_like(self.finishing)

    def step(self, t: Tensor, x: Tensor) -> Tensor:
        """Takes the new positions, and lets those leave that have arrived; says who stays, ``[items]`` bool."""
        self.x = x
        self._n_steps[self._active] += 1
        holds = self._watch.see(t, x, self.condition)
        for rule, now in holds.items():
            first = self._stopped[rule]
            first[self._active] = torch.where(
                now & (first[self._active] < 0), self._n_steps[self._active], first[self._active]
            )
        broken = self.condition.sum((~x.isfinite()).any(-1, keepdim=True).to(torch.int64))[:, 0] > 0
        if self.stop == "robust":  # one last step, to the clean end, comes after the rule has held
            arrived, self.finishing = self.finishing, self.finishing | holds["robust"]
            self._converged[self._active] = self._stopped["robust"][self._active] >= 0
        else:
            arrived = holds["published"]
            self._converged[self._active] = arrived & ~broken
        leaving = arrived | broken
        self._converged[self._active[broken]] = False
        if bool(leaving.any()):
            self._keep(~leaving)
        return ~leaving

    def _keep(self, stays: Tensor) -> None:
        rows = self.condition.spread(stays)
        self._all = self.everyone()
        self._watch.keep(stays, rows)
        self.x, self._rows = self.x[rows], self._rows[rows]
        self._active, self.finishing = self._active[stays], self.finishing[stays]
        self.condition = self.condition.select(stays)

    def samples(
        self, condition: Batch, n_evals: int, trajectory: list[Tensor], reported: tuple[Rule, ...] = RULES
    ) -> Samples:
        """What a sampler returns, in the layout of its condition, with the rules that it reports."""

        def laid_out(rows: Tensor) -> Tensor:
            return condition.like(rows, condition.layout)

        path = torch.stack([laid_out(x) for x in trajectory]) if trajectory else None
        return Samples(
            laid_out(self.everyone()),
            self._n_steps,
            self._converged,
            n_evals,
            trajectory=path,
            stopped={str(rule): self._stopped[rule] for rule in reported},
        )
