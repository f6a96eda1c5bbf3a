"""Lets a sampler relax structures, in batches of like size, and puts what it gave in order again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from hydramol.core.batch import Batch
from hydramol.core.progress import progress
from hydramol.core.protocols import Samples
from hydramol.core.randomness import Randomness
from hydramol.evaluation.relaxation_results import Course
from hydramol.evaluation.rmsd import rmsd
from hydramol.geometry.kabsch import kabsch_align
from hydramol.tasks.generate import frame_of, one_batch


@dataclass(frozen=True)
class RelaxationRun:
    """What the sampler made of a batch.

    Attributes:
        relaxed: The structures superposed on their starts, flat, float64; nan where one fell apart.
        course: What it took.
        trajectory: Batches in time, the last the result; empty where nothing was recorded.
    """

    relaxed: Batch
    course: Course
    trajectory: list[Batch]


class _Part(NamedTuple):
    """A batch of like size, what the sampler made of it, and the times that the model saw before and after."""

    batch: Batch
    samples: Samples
    times: tuple[Tensor, Tensor] | None


def run_relaxation(model: Any, batch: Batch, t_start: int, batch_size: int, random: Randomness) -> RelaxationRun:
    """Relaxes a flat batch; single atoms stay where they are.

    Args:
        model: Has ``denoise``, ``transport``, ``sampler`` and ``device``.
        batch: On the CPU, with ``z``, ``pos`` (Angstrom) and ``item``.
        t_start: Noising steps to undo, for samplers that do not find it out by themselves.
        batch_size: Structures at a time.
        random: Decides the noise of the sampler.
    """
    started = time.perf_counter()
    order = torch.argsort(batch.sizes["atom"], stable=True)
    several = batch.sizes["atom"][order] > 1
    parts = [batch.select(items) for items in order[several].split(batch_size)] if several.any() else []
    most = len(model.sampler.steps(t_start))
    found = []
    with progress(max(most * len(parts), 1), f"relaxing {int(several.sum())} structures") as advance:
        for part in parts:
            done = 0

            def see(step: int, x: Tensor) -> None:
                nonlocal done
                advance(int(done < most))
                done += 1

            found.append(_relaxed(model, part, t_start, random, see))
            advance(max(most - done, 0))  # molecules may arrive before the last step that could be taken
    seconds = time.perf_counter() - started
    alone, order = order[~several], torch.cat([order[~several], order[several]])
    return _collected(batch, batch.select(alone), order, found, model.sampler.record_every, seconds)


def _relaxed(model: Any, batch: Batch, t_start: int, random: Randomness, see: Callable[[int, Tensor], None]) -> _Part:
    part = batch.without("pos_reference").to(model.device)
    start = part["pos"]
    samples: Samples = model.sampler.sample(
        model.denoise, model.transport, start, part, t_start=t_start, random=random, observer=see
    )
    times = None
    if any(getattr(model, name, None) is not None for name in ("time_head", "time_predictor")):
        times = _predicted_time(model, start, part), _predicted_time(model, samples.x, part)
    return _Part(part.to("cpu"), samples, times)


def _collected(
    batch: Batch, single: Batch, order: Tensor, found: list[_Part], record_every: int, seconds: float
) -> RelaxationRun:
    """The single atoms and then the parts, brought back into the order of the batch."""
    back, n_alone = torch.argsort(order), len(single)

    def ordered(positions: list[Tensor]) -> Batch:
        parts = [single.without("pos_reference").with_fields(pos=single["pos"].double())] if n_alone else []
        parts += [part.batch.with_fields(pos=x.double().cpu()) for part, x in zip(found, positions, strict=True)]
        return onto(one_batch(parts).select(back), batch)

    def of_items(values: list[Tensor], alone: float) -> Tensor:
        dtype = values[0].dtype if values else torch.float64
        return torch.cat([torch.full((n_alone,), alone, dtype=dtype), *values])[back]

    def column(name: str, alone: float) -> Tensor:
        return of_items([getattr(part.samples, name).cpu() for part in found], alone)

    relaxed = ordered([part.samples.x for part in found])
    frames = []
    if record_every:
        paths = [part.samples.trajectory for part in found]
        n_frames = max((0 if path is None else len(path) for path in paths), default=0)
        frames = [*(ordered([frame_of(part.samples, k) for part in found]) for k in range(n_frames)), relaxed]
    rules = found[0].samples.stopped if found else {}
    times = [part.times for part in found if part.times is not None]
    course = Course(
        n_steps=column("n_steps", 0).long(),
        converged=column("converged", 1).bool(),
        moved=rmsd(relaxed, batch),
        n_evals=sum(part.samples.n_evals for part in found),
        seconds=seconds,
        stopped={rule: of_items([part.samples.stopped[rule].cpu() for part in found], 0).long() for rule in rules},
        time=(of_items([a for a, _ in times], 0.0), of_items([b for _, b in times], 0.0)) if times else None,
    )
    return RelaxationRun(relaxed, course, frames)


def onto(batch: Batch, target: Batch) -> Batch:
    """Superposes structures on others of the same molecules.

    Args:
        batch: Structures to move, flat.
        target: Where to, flat.
    """
    moving, still = batch.to_layout("padded"), target.to_layout("padded")
    pos = kabsch_align(moving["pos"], still["pos"], moving.mask())
    return batch.with_fields(pos=moving.rows(pos))


def broken(batch: Batch) -> Tensor:
    """Which structures are not finite, ``[items]``."""
    return batch.sum((~batch["pos"].isfinite()).any(-1).to(torch.int64)) > 0


def mended(relaxed: Batch, start: Batch) -> Batch:
    """The starts in place of what fell apart.

    Args:
        relaxed: Results, flat.
        start: Where they started, flat.
    """
    gone = relaxed.spread(broken(relaxed))[:, None]
    return relaxed.with_fields(pos=torch.where(gone, start["pos"].to(relaxed["pos"].dtype), relaxed["pos"]))


def _predicted_time(model: Any, x: Tensor, part: Batch) -> Tensor:
    """Normalised time that the model sees in structures, ``[items]`` on the CPU."""
    with torch.no_grad():
        centred = model.transport.prior.project(x.to(torch.float64), part).to(torch.float32)
        found: Tensor = model.denoise(centred, None, part).time
    return found.to("cpu", torch.float64)
