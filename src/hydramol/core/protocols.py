"""What the parts of the house promise each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import numpy as np
from torch import Tensor, nn

from hydramol.core.batch import Batch, Layout
from hydramol.core.randomness import Randomness


class Dataset(Protocol):
    """Items addressed by (epoch, index). Sizes are known without reading items."""

    sizes: Mapping[str, np.ndarray]  # rows of each item by axis, sizes["atom"]: [items]
    splits: Mapping[str, np.ndarray]  # "train", "val", "test": item indices, disjoint

    def __len__(self) -> int: ...

    def __getitems__(self, keys: list[tuple[int, int]]) -> list[Any] | Batch:
        """Items for keys (epoch, index): PyG ``Data`` objects, or a finished flat batch with its ``item`` field."""
        ...

    def statistics(self, indices: np.ndarray) -> dict[str, Tensor]:
        """Float64 statistics of some items (the training split), kept in the checkpoint."""
        ...


class Plan(Protocol):
    """Which items come together, as a pure function of (sizes, seed, epoch)."""

    def batches(self, epoch: int, rank: int = 0, world: int = 1, start: int = 0) -> Iterator[Any]:
        """The rank's batches of an epoch from the ``start``-th on."""
        ...

    def count(self, epoch: int, world: int = 1) -> int:
        """Batches of the epoch: exact, and equal on all ranks."""
        ...


class Transform(Protocol):
    """Changes a batch row by row or item by item; what it draws comes from the items' own keys."""

    def __call__(self, batch: Batch, random: Randomness) -> Batch:
        """The changed batch; all other fields are kept."""
        ...


class Features(NamedTuple):
    """What a backbone says of every atom, in the layout of its batch.

    Attributes:
        scalar: ``[rows..., F]``.
        vector: ``[rows..., 3, F]``, rotates with the molecule; None for backbones without.
        pair: ``[items, atoms, atoms, D]`` of padded pair backbones; None for the others.
    """

    scalar: Tensor
    vector: Tensor | None = None
    pair: Tensor | None = None


class Backbone(Protocol):
    """A net: positions and elements in, features out. It states its layout; the model brings batches into it."""

    layout: ClassVar[Layout]
    n_features: int

    def __call__(self, batch: Batch, time: Tensor | None = None) -> Features:
        """Features of ``batch["z"], batch["pos"]``; time is the normalised t of each item, ``[items]`` in [0, 1]."""
        ...

    def noise_head(self) -> nn.Module:
        """A fresh head ``(features, batch, time) -> [rows..., 3]``."""
        ...


class Corrupted(NamedTuple):
    """A noised batch: everything a loss needs. Rows in the layout of the batch."""

    x_t: Tensor
    t: Tensor
    noise: Tensor
    target: Tensor
    weight: Tensor


class Sums(NamedTuple):
    """A quantity of every item as (total, count), so that any average is global sums over global counts."""

    total: Tensor
    count: Tensor  # type: ignore[assignment]  # shadows tuple.count, which nobody calls on sums


class Output(NamedTuple):
    """What a denoiser predicts."""

    x: Tensor
    time: Tensor | None = None
    logits: Tensor | None = None


class View(NamedTuple):
    """One prediction seen in every way a sampler may want."""

    clean: Tensor
    noise: Tensor
    score: Tensor
    velocity: Tensor | None


Denoiser = Callable[[Tensor, Tensor | None, Batch], Output]
"""``(x, t, condition) -> Output``: x in the layout of condition, t ``[items]``; models supply it.

Without a time (None) the model finds it and fills ``Output.time``: normalised, ``[items]``, perhaps beyond 0 or 1.
"""


@dataclass
class Samples:
    """What a sampler returns; rows in the layout of its condition.

    Attributes:
        x: Final positions.
        n_steps: Steps of each item, ``[items]``.
        converged: Whether each item met the sampler's own stopping rule, ``[items]``.
        n_evals: Calls of the network, each on all items that were still moving.
        stopped: By name of a stopping rule: the step after which it first held for each item, ``[items]``, -1 where
            it never did; empty for samplers without such rules.
        trajectory: Positions before each recorded step, ``[steps, rows..., 3]``, or None.
    """

    x: Tensor
    n_steps: Tensor
    converged: Tensor
    n_evals: int
    trajectory: Tensor | None = None
    stopped: dict[str, Tensor] = field(default_factory=dict)


class Sampler(Protocol):
    """Draws structures with a denoiser; deterministic for a given randomness."""

    needs: ClassVar[frozenset[str]]  # read by the config check: "discrete", "continuous", "time"
    n_samples: int
    max_steps: int | None

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
        """Draws one structure for each item of the condition, from ``start`` or from pure noise."""
        ...


Stage = Literal["train", "val", "test"]
