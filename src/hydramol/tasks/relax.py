"""Bringing structures to the nearest minimum with a diffusion model, and measuring how near they come.

The model takes a displaced structure for a noised one and removes the noise (Kahouli et al. 2024, arXiv:2404.10935).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch

from hydramol.core.batch import Batch
from hydramol.core.errors import ConfigError
from hydramol.core.protocols import Stage
from hydramol.core.randomness import Randomness
from hydramol.core.results import Structures
from hydramol.evaluation.relaxation import Measures, measure
from hydramol.evaluation.relaxation_controls import Relaxed, gfn2_energies, gfn2_relaxed, mmff_relaxed
from hydramol.evaluation.relaxation_results import course_of_relaxation, relaxation_results
from hydramol.evaluation.rmsd import rmsd
from hydramol.evaluation.summary import join
from hydramol.tasks.generate import one_batch, spread
from hydramol.tasks.inputs import NOTHING, Inputs, read_inputs
from hydramol.tasks.outcome import Outcome, StructureSet
from hydramol.tasks.relaxation_run import RelaxationRun, broken, mended, onto, run_relaxation

CONTROLS = ("gfn2", "mmff")


class Relax:
    """Relaxation of given structures.

    Args:
        t_start: Noising steps that the starts are taken to be away from clean, for samplers that do not find it out by
            themselves (ddpm).
        batch_size: Structures relaxed at a time, alike in size, which keeps padding cheap; it changes no structure.
        controls: Other ways down from the same starts, on one CPU core: "gfn2" (needs tblite; seconds a structure)
            and "mmff".
        energies: Also compare GFN2 energies with those of the GFN2-relaxed references (needs tblite).
        n_shown: Structures to turn in the report.
        n_evaluated: Held-out structures that evaluation relaxes.
        displacement: Where the data hold no pairs, evaluation displaces each coordinate of held-out minima by Gaussian
            noise of this standard deviation, Angstrom.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"noise"})

    def __init__(
        self,
        t_start: int = 100,
        batch_size: int = 16,
        controls: Mapping[str, bool] | None = None,
        energies: bool = False,
        n_shown: int = 8,
        n_evaluated: int = 48,
        displacement: float = 0.1,
    ) -> None:
        asked = dict(controls or {})
        if unknown := set(asked) - set(CONTROLS):
            raise ValueError(f"task.controls.{sorted(unknown)[0]}: known are {', '.join(CONTROLS)}")
        for name, value, least in (
            ("batch_size", batch_size, 1),
            ("t_start", t_start, 1),
            ("n_evaluated", n_evaluated, 1),
        ):
            if value < least:
                raise ValueError(f"task.{name}={value}: at least {least}")
        if displacement <= 0:
            raise ValueError(f"task.displacement={displacement}: a positive length, Angstrom")
        self.t_start = t_start
        self.batch_size = batch_size
        self.controls = {name for name, wanted in asked.items() if wanted}
        self.energies = energies
        self.n_shown = n_shown
        self.n_evaluated = n_evaluated
        self.displacement = displacement

    # --- what `sample.py` and `evaluate` do ---------------------------------------------------------------------------

    def sample(self, model: Any, random: Randomness, inputs: Inputs = NOTHING) -> Outcome:
        """Relaxes the structures of a file.

        Args:
            model: Has ``denoise``, ``transport``, ``sampler``, ``net`` and ``statistics``.
            random: Decides the noise of the sampler.
            inputs: The file, and perhaps one with the minima.

        Raises:
            ConfigError: No file was named.
            DataError: It holds nothing that can be relaxed.
        """
        self._check(model)
        given = read_inputs(inputs, model)
        n_left_out = given.n_structures - len(given.batch)
        text = f"{len(given.batch)} structures of {inputs.input}" + (f"; {n_left_out} left out" if n_left_out else "")
        about = f"Minima: the structures of {inputs.reference}."
        return self._outcome(model, given.batch, random, f"{text}.", about, given.remarks)

    def evaluate(self, model: Any, data: Any, split: Stage, random: Randomness) -> Outcome:
        """Relaxes held-out structures: displaced ones of a data set of pairs, else minima displaced by Gaussian noise.

        Args:
            model: As for `sample`.
            data: A DataModule.
            split: "val" or "test".
            random: Decides displacements and the noise of the sampler.
        """
        self._check(model)
        batch = one_batch(spread(list(data.loader(split)), self.n_evaluated, self.batch_size)).to("cpu")
        text, about = f"{len(batch)} held-out structures.", "Minima: those of the data set."
        if "pos_reference" not in batch:
            noise = random.for_stream("displacement").normal_rows(batch)
            displaced = batch["pos"] + (self.displacement * noise).to(batch["pos"].dtype)
            batch = batch.with_fields(pos_reference=batch["pos"], pos=displaced)
            text = (
                f"{len(batch)} held-out minima, each coordinate displaced by Gaussian noise of {self.displacement:g} "
                "Å; a stand-in for thermal displacements."
            )
        return self._outcome(model, batch, random, text, about)

    def _check(self, model: Any) -> None:
        longest = model.transport.path.n_steps
        if self.t_start > longest:
            raise ConfigError(f"the path has {longest} steps", where=f"task.t_start={self.t_start}")

    def _outcome(
        self, model: Any, batch: Batch, random: Randomness, text: str, about: str, remarks: list[str] | None = None
    ) -> Outcome:
        run = run_relaxation(model, batch, self.t_start, self.batch_size, random.for_stream("relax"))
        gone = batch["item"][broken(run.relaxed)]
        remarks = [*(remarks or []), *(f"structure {item}: fell apart, returned as it was" for item in gone.tolist())]
        methods, about = self._compared(batch, run, random, about)
        files = {"relaxed.extxyz": StructureSet({"relaxed": mended(run.relaxed, batch)}, info=_info(batch, run))}
        if run.trajectory:
            steps = [mended(frame, batch) for frame in run.trajectory]
            files["trajectories.extxyz"] = StructureSet({"relaxation": steps})
        shown = []
        if (chosen := self._chosen(batch, run)) is not None:
            files["shown.extxyz"] = chosen
            note = "From the start to the result" + (", step by step." if run.trajectory else ".")
            shown.append(Structures("shown.extxyz", list(chosen.structures), note))
        parts = [course_of_relaxation(run.course.select(batch.sizes["atom"] > 1), remarks, shown, text)]
        if methods:
            parts.append(relaxation_results(methods, about))
        return Outcome(join(parts), files, main="relaxed.extxyz")

    # --- comparison ---------------------------------------------------------------------------------------------------

    def _compared(self, batch: Batch, run: RelaxationRun, random: Randomness, about: str) -> tuple[list[Measures], str]:
        """The model and its controls beside the minima, of the structures whose minima are known."""
        start, given = batch.without("pos_reference"), "pos_reference" in batch
        if given:
            reference = start.with_fields(pos=batch["pos_reference"])
        elif self.energies or "gfn2" in self.controls:
            reference = gfn2_relaxed(start, "GFN2 reference").structures
            about = "Minima: where GFN2-xTB leads from the same start, as no references were given."
        else:
            return [], about
        known = (batch.sizes["atom"] > 1) & ~broken(reference)
        if not known.any():
            return [], about
        start, reference = start.select(known), reference.select(known)
        seconds = run.course.seconds / len(batch) * len(start)
        methods = [Relaxed("model", run.relaxed.select(known), run.course.converged[known], seconds)]
        if given and "gfn2" in self.controls:
            methods.append(gfn2_relaxed(start))
        if "mmff" in self.controls:
            methods.append(mmff_relaxed(start, topology=reference))
        lowest = None
        if self.energies:
            lowest = gfn2_energies(gfn2_relaxed(reference, "GFN2 reference").structures if given else reference)
        energies = [gfn2_energies(one.structures) if self.energies else None for one in methods]
        random = random.for_stream("matching")
        return [measure(*both, start, reference, random, lowest) for both in zip(methods, energies, strict=True)], about

    def _chosen(self, batch: Batch, run: RelaxationRun) -> StructureSet | None:
        """Start, result and minimum of some structures, side by side and superposed."""
        fit = (batch.sizes["atom"] > 1) & ~broken(run.relaxed)
        compared = torch.zeros_like(fit)
        if "pos_reference" in batch:
            compared = fit & ~broken(batch.with_fields(pos=batch["pos_reference"]))
        useful = (compared if compared.any() else fit).nonzero().flatten()
        if not len(useful) or self.n_shown < 1:
            return None
        places = torch.linspace(0, len(useful) - 1, min(self.n_shown, len(useful))).round().long().unique()
        items = useful[places]
        start, relaxed = batch.select(items), run.relaxed.select(items)
        structures: dict[str, Batch | list[Batch]] = {
            "start": start,
            "relaxed": [frame.select(items) for frame in run.trajectory] or relaxed,
        }
        moved = rmsd(relaxed, start).tolist()
        captions = [
            f"structure {item}: {far:.2f} Å from the start" for item, far in zip(start["item"], moved, strict=True)
        ]
        if compared.any():
            reference = start.with_fields(pos=start["pos_reference"])
            structures["reference"] = onto(reference, start)
            nearness = zip(start["item"], rmsd(start, reference), rmsd(relaxed, reference), strict=True)
            captions = [f"structure {item}: {before:.2f} → {after:.2f} Å" for item, before, after in nearness]
        return StructureSet(structures, captions)


def _info(batch: Batch, run: RelaxationRun) -> list[dict[str, str | bool | int | float]]:
    """What the file of results says of each structure."""
    course = run.course
    columns: dict[str, list[Any]] = {
        "structure": batch["item"].tolist(),
        "steps": course.n_steps.tolist(),
        "converged": course.converged.tolist(),
        "rmsd_to_start": course.moved.tolist(),
    }
    if course.time is not None:
        columns |= {
            f"predicted_time_{name}": time.tolist() for name, time in zip(("start", "end"), course.time, strict=True)
        }
    if "pos_reference" in batch:
        reference = batch.with_fields(pos=batch["pos_reference"])
        columns["rmsd_to_reference"] = rmsd(run.relaxed, reference).tolist()
        columns["rmsd_to_reference_at_start"] = rmsd(batch, reference).tolist()
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
