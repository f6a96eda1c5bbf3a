"""How the time of a diffusion process enters a net."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

Where = Literal["head", "node", "pair", "adaln"]
WHERE: tuple[Where, ...] = ("head", "node", "pair", "adaln")


class TimeInput(nn.Module):
    """Embeds the normalised time of each molecule, without parameters.

    Args:
        where: Where a net takes it: appended to the features before the "head" (the backbone then sees no time, as in
            MoreRed), added to the "node" or "pair" embedding, or as adaptive layer norm ("adaln", Peebles & Xie 2023).
        kind: "scalar" appends t itself, one channel; "sinusoid" gives ``n_channels`` sines and cosines.
        n_channels: Channels of "sinusoid"; even.
    """

    def __init__(
        self, where: Where = "head", kind: Literal["scalar", "sinusoid"] = "scalar", n_channels: int = 32
    ) -> None:
        super().__init__()
        if where not in WHERE:
            raise ValueError(f"time.where={where!r}: one of {', '.join(WHERE)}")
        if kind not in ("scalar", "sinusoid"):
            raise ValueError(f"time.kind={kind!r}: scalar or sinusoid")
        if kind == "sinusoid" and n_channels % 2:
            raise ValueError(f"time.n_channels={n_channels} must be even")
        self.where = where
        self.kind = kind
        self.n_channels = 1 if kind == "scalar" else n_channels

    @classmethod
    def provides_for(cls, where: str = "head") -> frozenset[str]:
        """Words for the configuration check: at the head the backbone does not see the time."""
        return frozenset({"time_at_head"}) if where == "head" else frozenset({"time_inside"})

    def forward(self, time: Tensor) -> Tensor:
        """Embeds t.

        Args:
            time: ``[items]``, in [0, 1].

        Returns:
            ``[items, n_channels]``.
        """
        if self.kind == "scalar":
            return time[:, None]
        # Angular frequencies pi/2 ... 1000 pi/2: the slowest is monotonic over [0, 1], the fastest tells single steps.
        half = self.n_channels // 2
        powers = torch.arange(half, device=time.device, dtype=time.dtype) / max(half - 1, 1)
        angle = time[:, None] * (0.5 * math.pi) * 1000.0**powers
        return torch.cat([torch.sin(angle), torch.cos(angle)], dim=-1)
