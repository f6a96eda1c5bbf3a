"""What a denoiser is worth on structures it never saw: its noise loss, and how far it brings noised structures back.

Both stand beside what needs no learning: a noise loss of 1 is that of predicting zero, and the best linear guess from
the noised positions alone already scores far below 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from hydramol.core.batch import Batch
from hydramol.core.protocols import Denoiser, Sampler, Samples
from hydramol.core.randomness import Randomness
from hydramol.geometry.kabsch import kabsch_align, kabsch_rmsd

LinearGuess = Callable[[Tensor, Tensor, Batch], Tensor]
"""``(x_t, t, batch) -> noise``: what a linear map of the noised positions can tell."""


@dataclass(frozen=True)
class NoiseLossRow:
    """Mean squared error of the noise over all coordinates of molecules with ``low <= t < high``; nan if there is none.

    Attributes:
        low: Smallest t.
        high: t stays below.
        n: Noised molecules.
        model: Loss of the model.
        zero: Loss of predicting zero.
        linear: Loss of the best linear guess.
    """

    low: float
    high: float
    n: int
    model: float
    zero: float
    linear: float


@torch.no_grad()
def noise_loss_table(
    denoise: Denoiser,
    transport: Any,
    batches: Iterable[Batch],
    linear_guess: LinearGuess,
    random: Randomness,
    t_edges: Sequence[float] = (0, 50, 100, 200, 300, 500, 1000),
    n_draws: int = 4,
) -> list[NoiseLossRow]:
    """Noise loss over all times (first row) and by ranges of t.

    Args:
        denoise: The model.
        transport: Noises structures and defines the squared error, which is told whichever loss was trained with.
        batches: Structures to noise.
        linear_guess: The best linear guess of the noise.
        random: Where times and noise come from.
        t_edges: Limits of the ranges.
        n_draws: How often each structure is noised, at different times.
    """
    if len(t_edges) < 2 or sorted(t_edges) != list(t_edges):
        raise ValueError(f"t_edges must be two or more rising limits, got {list(t_edges)}")
    times, totals, counts = [], [], []
    for batch in batches:
        for draw in range(n_draws):
            t = transport.sample_time(batch, random.for_stream("time").at(draw))
            corrupted = transport.corrupt(batch["pos"], t, batch, random.for_stream("noise").at(draw))
            guesses = (
                denoise(corrupted.x_t, t, batch).x,
                torch.zeros_like(corrupted.target),
                linear_guess(corrupted.x_t, t, batch),
            )
            sums = [transport.squared_error(guess, corrupted, batch) for guess in guesses]
            times.append(t.cpu())
            totals.append(torch.stack([one.total for one in sums], -1).double().cpu())
            counts.append(sums[0].count.cpu())
    if not times:
        raise ValueError("no structures to noise")
    t, total, count = torch.cat(times), torch.cat(totals), torch.cat(counts)

    def row(low: float, high: float) -> NoiseLossRow:
        inside = (t >= low) & (t < high)
        if not inside.any():
            return NoiseLossRow(low, high, 0, math.nan, math.nan, math.nan)
        model, zero, linear = (total[inside].sum(0) / count[inside].sum()).tolist()
        return NoiseLossRow(low, high, int(inside.sum()), model, zero, linear)

    return [row(-math.inf, math.inf), *(row(low, high) for low, high in pairwise(t_edges))]


@dataclass(frozen=True)
class Denoising:
    """Structures noised and brought back.

    Attributes:
        t_start: Noising steps that were undone.
        before: RMSD of the noised structures to the real ones after superposition, ``[items]``, Angstrom.
        after: RMSD of the denoised structures, ``[items]``, Angstrom.
        shown: Some of the structures as flat batches: noised, denoised, real; all superposed on the real ones.
        places: Where those stand in ``before`` and ``after``.
        n_steps: Steps the sampler took, ``[items]``.
        converged: Whether the sampler's stopping rule held, ``[items]``.
        stopped: By stopping rule: the step after which it first held, ``[items]``, -1 for never.
    """

    t_start: int
    before: Tensor
    after: Tensor
    n_steps: Tensor
    converged: Tensor
    stopped: Mapping[str, Tensor] = field(default_factory=dict)
    shown: dict[str, Batch] = field(default_factory=dict)
    places: Sequence[int] = ()

    @property
    def ratio(self) -> float:
        """RMSD after over RMSD before, averaged over molecules; single atoms have neither."""
        moved = self.before > 0
        return float((self.after[moved] / self.before[moved]).mean())

    @property
    def reduction(self) -> float:
        """By how much the mean RMSD fell, percent."""
        return 100.0 * (1.0 - float(self.after.mean() / self.before.mean()))


@torch.no_grad()
def denoising_table(
    denoise: Denoiser,
    transport: Any,
    sampler: Sampler,
    batches: Iterable[Batch],
    t_starts: Sequence[int],
    random: Randomness,
    n_shown: int = 0,
) -> list[Denoising]:
    """Noises structures by so many steps and lets the sampler bring them back.

    Atoms keep their labels, so the RMSD (after superposition without mirroring) is meaningful while the noise does not
    exchange atoms: for t up to about a third of the way.

    Args:
        denoise: The model.
        transport: Noises structures.
        sampler: Draws structures from a given time.
        batches: Structures to noise; walked through once.
        t_starts: Numbers of noising steps to undo, 1 ... T.
        random: Where the noise comes from.
        n_shown: How many structures to keep for display.
    """
    before: dict[int, list[Tensor]] = {t: [] for t in t_starts}
    after: dict[int, list[Tensor]] = {t: [] for t in t_starts}
    drawn: dict[int, list[Samples]] = {t: [] for t in t_starts}
    shown: dict[int, list[dict[str, Batch]]] = {t: [] for t in t_starts}
    batches = list(batches)
    places: list[int] = []
    n_seen = 0
    for number, batch in enumerate(batches):
        share = n_shown * (number + 1) // len(batches) - n_shown * number // len(batches)
        chosen = torch.linspace(0, len(batch) - 1, min(share, len(batch)), device=batch.device).round().long()
        places += (chosen + n_seen).tolist()
        n_seen += len(batch)
        real = batch.to_layout("padded")
        for t_start in t_starts:
            here = random.for_stream(f"t={t_start}")
            # A state that was noised k times has the index k - 1.
            t = torch.full((len(batch),), t_start - 1, device=batch.device)
            x_t = transport.corrupt(batch["pos"], t, batch, here.for_stream("noise")).x_t
            samples = sampler.sample(denoise, transport, x_t, batch, t_start=t_start, random=here.for_stream("sampler"))
            drawn[t_start].append(samples)
            noised, denoised = (batch.with_fields(pos=x).to_layout("padded")["pos"] for x in (x_t, samples.x))
            before[t_start].append(kabsch_rmsd(noised, real["pos"], real.mask()).double().cpu())
            after[t_start].append(kabsch_rmsd(denoised, real["pos"], real.mask()).double().cpu())
            if len(chosen):
                shown[t_start].append(_shown(real, {"noised": noised, "denoised": denoised}, chosen))
    if not all(before.values()):
        raise ValueError("no structures to noise")
    return [
        Denoising(
            t,
            torch.cat(before[t]),
            torch.cat(after[t]),
            torch.cat([one.n_steps.cpu() for one in drawn[t]]),
            torch.cat([one.converged.cpu() for one in drawn[t]]),
            {rule: torch.cat([one.stopped[rule].cpu() for one in drawn[t]]) for rule in drawn[t][0].stopped},
            _joined(shown[t]),
            places,
        )
        for t in t_starts
    ]


def _shown(real: Batch, structures: dict[str, Tensor], chosen: Tensor) -> dict[str, Batch]:
    """Some structures, turned onto the real ones."""
    turned = {name: real.with_fields(pos=kabsch_align(x, real["pos"], real.mask())) for name, x in structures.items()}
    return {name: batch.select(chosen).to_layout("flat").to("cpu") for name, batch in {**turned, "real": real}.items()}


def _joined(parts: list[dict[str, Batch]]) -> dict[str, Batch]:
    """Flat batches of each name, one after the other; only what is needed to draw them."""
    names = parts[0] if parts else ()
    return {
        name: Batch(
            {key: torch.cat([part[name][key] for part in parts]) for key in ("z", "pos", "item")},
            {"atom": torch.cat([part[name].sizes["atom"] for part in parts])},
        )
        for name in names
    }
