"""Drawing structures of given compositions from noise, and measuring how well that works."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from hydramol.core.batch import Batch
from hydramol.core.progress import progress
from hydramol.core.protocols import Dataset, Samples, Stage
from hydramol.core.randomness import Randomness
from hydramol.core.results import Structures
from hydramol.data.collate import collate
from hydramol.evaluation.denoising import denoising_table, noise_loss_table
from hydramol.evaluation.distributions import bond_angles, compare, pair_distances
from hydramol.evaluation.equivariance import equivariance_error
from hydramol.evaluation.likelihood import likelihood
from hydramol.evaluation.stability import stability
from hydramol.evaluation.summary import (
    denoising,
    distances_and_angles,
    equivariance,
    generated_structures,
    join,
    noise_prediction,
)
from hydramol.evaluation.time_prediction import time_errors, time_prediction
from hydramol.evaluation.validity import validity
from hydramol.tasks.inputs import NOTHING, Inputs
from hydramol.tasks.outcome import Outcome, StructureSet
from hydramol.transport.likelihood import Bound, join_bounds, noise_predictor, variational_bound


class Generate:
    """Structures of molecules whose composition is given.

    Args:
        t_starts: Evaluation noises held-out structures to these steps and lets the sampler bring them back.
        n_denoised: Held-out structures for that; 0 leaves it out.
        n_generated: Structures drawn from pure noise in evaluation, with held-out compositions; 0 leaves it out.
        n_shown: Structures of each kind to turn in the report.
        batch_size: Structures drawn at a time, alike in size, which keeps padding cheap; it changes no structure.
        n_likelihood: Held-out structures whose likelihood evaluation bounds, with about a hundred calls of the net for
            each batch; 0 leaves it out.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"noise"})

    def __init__(
        self,
        t_starts: Sequence[int] = (100, 200, 300),
        n_denoised: int = 48,
        n_generated: int = 0,
        n_shown: int = 8,
        batch_size: int = 16,
        n_likelihood: int = 0,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"task.batch_size={batch_size}: at least 1")
        self.t_starts = tuple(t_starts)
        self.n_denoised = n_denoised
        self.n_generated = n_generated
        self.n_shown = n_shown
        self.batch_size = batch_size
        self.n_likelihood = n_likelihood

    # --- what `sample.py` does ----------------------------------------------------------------------------------

    def sample(self, model: Any, random: Randomness, inputs: Inputs = NOTHING) -> Outcome:
        """Draws ``model.sampler.n_samples`` structures with compositions as frequent as in the training data.

        Args:
            model: Has ``denoise``, ``transport``, ``sampler`` and ``statistics``.
            random: Decides compositions and noise.
            inputs: Files of structures, of which this task reads none.
        """
        inputs.refuse("generate")
        condition = compositions(model.statistics, model.sampler.n_samples, random).to(model.device)
        return self._generated(self._draw(model, condition, random), reference(model.statistics))

    # --- what training and `evaluate` do with held-out structures -------------------------------------------------

    def evaluate(self, model: Any, data: Any, split: Stage, random: Randomness) -> Outcome:
        """Measures noise prediction, equivariance, denoising and, if asked for, likelihood and generation.

        Args:
            model: Has ``denoise``, ``transport``, ``sampler``, ``linear_guess``, ``time_head``, ``predict_time``.
            data: A DataModule.
            split: "val" or "test".
            random: Decides noise and rotations.
        """
        batches = [batch.to(model.device) for batch in data.loader(split)]
        rows = noise_loss_table(model.denoise, model.transport, batches, model.linear_guess, random)
        parts = [Outcome(noise_prediction(rows))]
        if model.time_head is not None:
            errors = time_errors(model.predict_time, model.transport, batches, random.for_stream("time_prediction"))
            parts.append(Outcome(time_prediction(errors)))
        if self.n_denoised:
            parts.append(self._denoised(model, spread(batches, self.n_denoised, self.batch_size), random))
        parts.append(Outcome(equivariance(self._equivariance(model, spread(batches, 64, self.batch_size), random))))
        if self.n_likelihood:
            parts.append(self._likelihood(model, spread(batches, self.n_likelihood, self.batch_size), random))
        if self.n_generated:
            real = one_batch(spread(batches, self.n_generated, self.batch_size))
            parts.append(self._generated(self._draw(model, real.without("pos"), random), real))
        return Outcome(
            join(part.results for part in parts),
            {name: found for part in parts for name, found in part.structures.items()},
        )

    def _denoised(self, model: Any, batches: list[Batch], random: Randomness) -> Outcome:
        found = denoising_table(
            model.denoise, model.transport, model.sampler, batches, self.t_starts, random, self.n_shown
        )
        files, shown = {}, []
        for one in found:
            if one.shown:
                name = f"denoised_t{one.t_start}.extxyz"
                captions = [f"{one.before[place]:.2f} → {one.after[place]:.2f} Å" for place in one.places]
                files[name] = StructureSet(one.shown, captions)
                shown.append(Structures(name, list(one.shown), f"Noised to t = {one.t_start} and brought back"))
        return Outcome(denoising(found, shown), files)

    def _likelihood(self, model: Any, batches: list[Batch], random: Randomness) -> Outcome:
        random = random.for_stream("likelihood")
        predictors = (noise_predictor(model.denoise, model.transport), model.linear_guess)
        found: list[list[Bound]] = [[], []]
        with progress(len(batches), f"likelihood of {sum(map(len, batches))} structures") as advance:
            for batch in batches:
                for bounds, predict in zip(found, predictors, strict=True):
                    bounds.append(variational_bound(predict, model.transport, batch, random))
                advance(1)
        return Outcome(likelihood(*(join_bounds(bounds)._asdict() for bounds in found)))

    def _equivariance(self, model: Any, batches: list[Batch], random: Randomness) -> dict[int, Tensor]:
        errors = {}
        for t_start in self.t_starts:
            found = []
            for batch in batches:
                # A state that was noised k times has the index k - 1.
                t = torch.full((len(batch),), t_start - 1, device=batch.device)
                x_t = model.transport.corrupt(batch["pos"], t, batch, random.for_stream("equivariance")).x_t
                found.append(equivariance_error(model.denoise, x_t, t, batch, random.for_stream("rotations")).cpu())
            errors[t_start] = torch.cat(found)
        return errors

    # --- generation -----------------------------------------------------------------------------------------------

    def _draw(self, model: Any, condition: Batch, random: Randomness) -> list[Batch]:
        """Drawn structures, on the CPU and in the order of the condition: recorded frames, then the result."""
        by_size = torch.argsort(condition.sizes["atom"], stable=True)
        parts = [condition.select(chosen) for chosen in by_size.split(self.batch_size)]
        n_steps = len(model.sampler.steps(model.transport.path.n_steps)) * len(parts)
        with progress(n_steps, f"sampling {len(condition)} structures") as advance:
            drawn: list[Samples] = [
                model.sampler.sample(
                    model.denoise, model.transport, None, part, random=random, observer=lambda step, x: advance(1)
                )
                for part in parts
            ]
        longest = max(0 if one.trajectory is None else len(one.trajectory) for one in drawn)
        back = torch.argsort(by_size.cpu())

        def joined(frame: int) -> Batch:
            """A frame of all; those that took fewer steps stay where they ended."""
            return one_batch(
                [
                    part.to("cpu").with_fields(pos=frame_of(one, frame).to("cpu", torch.float32))
                    for part, one in zip(parts, drawn, strict=True)
                ]
            ).select(back)

        return [joined(frame) for frame in range(longest + 1)]

    def _generated(self, drawn: list[Batch], real: Batch) -> Outcome:
        """Measures drawn structures, the last of their frames, beside real ones."""
        generated = drawn[-1]
        note = "Drawn from pure noise" + (", step by step" if len(drawn) > 1 else "")
        shown = [Structures("generated.extxyz", ["generated"], note)]
        measured = generated_structures(scores(generated), scores(real), len(generated), len(real), structures=shown)
        distributions = distances_and_angles(
            compare(pair_distances(generated), pair_distances(real), n_largest=8),
            compare(bond_angles(generated), bond_angles(real), n_largest=8),
        )
        files = {"generated.extxyz": StructureSet({"generated": generated})}
        if len(drawn) > 1:
            files["trajectories.extxyz"] = StructureSet({"generation": drawn})
            shown[0].file = "trajectories.extxyz"
        return Outcome(join([measured, distributions]), files, main="generated.extxyz")


def frame_of(samples: Samples, number: int) -> Tensor:
    """A recorded frame of some samples, or the result after the last."""
    path = samples.trajectory
    return samples.x if path is None or number >= len(path) else path[number]


def scores(batch: Batch) -> dict[str, float]:
    """Stability and validity of structures, by name."""
    batch = batch.to("cpu")
    return {**stability(batch).scores(), **validity(batch).scores()}


def reference_structures(dataset: Dataset, indices: np.ndarray, n: int = 300) -> dict[str, Tensor]:
    """Some real structures, kept with the statistics: what drawn ones are compared with where there are no data.

    Args:
        dataset: Real structures.
        indices: Items to choose from.
        n: How many to keep, spread evenly.

    Returns:
        ``reference_z`` and ``reference_pos`` (Angstrom), atoms joined, and ``reference_sizes``.
    """
    chosen = indices[np.linspace(0, len(indices) - 1, min(n, len(indices))).round().astype(int)]
    found = dataset.__getitems__([(0, int(item)) for item in chosen])
    batch = found if isinstance(found, Batch) else collate(found)
    kept = {"z": batch["z"], "pos": batch["pos"].to(torch.float32), "sizes": batch.sizes["atom"]}
    return {f"reference_{name}": value.clone() for name, value in kept.items()}


def reference(statistics: Mapping[str, Tensor]) -> Batch:
    """The structures that `reference_structures` kept, as a flat batch."""
    sizes = statistics["reference_sizes"].cpu()
    fields = {"z": statistics["reference_z"].cpu(), "pos": statistics["reference_pos"].cpu()}
    return Batch({**fields, "item": torch.arange(len(sizes))}, {"atom": sizes})


def compositions(statistics: Mapping[str, Tensor], n: int, random: Randomness) -> Batch:
    """Draws compositions with the frequency they have in the training data.

    Args:
        statistics: With ``composition_z`` (atoms of each composition, joined), ``composition_sizes`` and
            ``composition_counts``.
        n: How many.
        random: Decides which.

    Returns:
        A flat batch without positions.
    """
    items = Batch({"item": torch.arange(n)}, {"graph": torch.ones(n, dtype=torch.int64)})
    counts = statistics["composition_counts"].double().cpu()
    edges = torch.cumsum(counts, 0) / counts.sum()
    chosen = torch.searchsorted(edges, random.for_stream("composition").uniform(items)[:, 0], right=True)
    table = Batch(
        {"z": statistics["composition_z"].cpu()}, {"atom": statistics["composition_sizes"].to(torch.int64).cpu()}
    )
    return table.select(chosen.clamp(max=len(counts) - 1)).with_fields(item=torch.arange(n), view=torch.zeros(n).long())


def spread(batches: Sequence[Batch], n: int, size: int) -> list[Batch]:
    """``n`` items spread evenly over some batches, so that all sizes of a split sorted by size are there.

    Args:
        batches: Batches of a split, sorted by size.
        n: How many items to take.
        size: Items of each batch that is returned; neighbours stay together, so padding stays cheap.
    """
    flat = one_batch(batches)
    wanted = torch.unique(torch.linspace(0, len(flat) - 1, min(n, len(flat))).round().long()).to(flat.device)
    return [flat.select(chosen) for chosen in wanted.split(size)]


def one_batch(batches: Sequence[Batch]) -> Batch:
    """Several batches as one flat batch."""
    flat = [batch.to_layout("flat") for batch in batches]
    return Batch(
        {name: torch.cat([batch[name] for batch in flat]) for name in flat[0].fields},
        {axis: torch.cat([batch.sizes[axis] for batch in flat]) for axis in flat[0].sizes},
    )
