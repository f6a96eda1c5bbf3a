"""Parts for tests of the check: small, quick to import, and wrong in no way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

if TYPE_CHECKING:
    from decimal import Decimal


class Net:
    def __init__(
        self, width: int = 8, cutoff: float = 5.0, act: Literal["silu", "relu"] = "silu", inner: Any = None
    ) -> None:
        if width < 1:
            raise ValueError(f"net.width={width}: at least 1")
        self.width, self.cutoff, self.act, self.inner = width, cutoff, act, inner


class Inner:
    def __init__(self, depth: int, scale: float = 1.0, exact: Decimal | None = None) -> None:
        if depth < 0:
            raise ValueError("depth below 0")
        self.depth, self.scale = depth, scale


class DiscretePath:
    discrete: ClassVar[bool] = True

    def __init__(self, n_steps: int = 10) -> None:
        self.n_steps = n_steps


class Transport:
    def __init__(self, path: DiscretePath, predicts: str = "noise", weights: Mapping[str, float] | None = None) -> None:
        self.path, self.predicts, self.weights = path, predicts, weights


class Sampler:
    needs: ClassVar[frozenset[str]] = frozenset({"discrete"})

    def __init__(self, n_samples: int = 4, steps: Sequence[int] = ()) -> None:
        self.n_samples, self.steps = n_samples, steps


class TimeSampler(Sampler):
    needs: ClassVar[frozenset[str]] = frozenset({"discrete", "time"})


class Model:
    def __init__(
        self,
        net: Net,
        transport: Transport | None = None,
        sampler: Sampler | None = None,
        optimizer: Callable[..., Any] | None = None,
        *,
        statistics: Mapping[str, Any],
        seed: int = 0,
        heads: Literal["noise", "joint"] = "noise",
    ) -> None:
        self.net, self.transport, self.sampler, self.statistics = net, transport, sampler, statistics

    @classmethod
    def provides_for(cls, heads: str = "noise") -> frozenset[str]:
        return frozenset({"time"} if heads == "joint" else ())


class Greedy:
    def __init__(self, lr: float = 1.0, **kwargs: Any) -> None:
        self.lr = lr


@dataclass
class Payload:
    value: int


def optimizer(params: Sequence[Any], lr: float = 1e-3, betas: tuple[float, float] = (0.9, 0.99)) -> tuple[Any, float]:
    return params, lr


def holder(payload: Any, items: Any = None) -> tuple[Any, Any]:
    return payload, items
