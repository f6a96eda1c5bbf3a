"""Samplers whose molecules find their own time."""

from __future__ import annotations


class SelfTimed:
    """Base of those that ask the model for it.

    Attributes:
        max_steps: The most steps, or None for as many as the path has.
    """

    max_steps: int | None

    @classmethod
    def needs_for(cls, time_ckpt: str | None = None) -> frozenset[str]:
        """Words for the configuration check: without a time predictor the model itself must tell the time."""
        return frozenset({"discrete", "noise"} if time_ckpt else {"discrete", "noise", "time"})

    def steps(self, n_steps: int) -> range:
        """The most steps that can be taken on a path of so many."""
        return range(self.max_steps or n_steps)
