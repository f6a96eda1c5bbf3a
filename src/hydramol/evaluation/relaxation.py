"""How near a relaxation comes to the reference minimum: RMSD, its ratio to that of the start, success, energy."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from hydramol.core.batch import Batch
from hydramol.core.randomness import Randomness
from hydramol.core.units import factor
from hydramol.evaluation.relaxation_controls import Relaxed
from hydramol.evaluation.rmsd import matched_rmsd, rmsd

LIMITS = (0.05, 0.1, 0.25)
"""A relaxation succeeds when its RMSD to the minimum is below one of these, Angstrom; all three are told."""

AT_MINIMUM = 1e-4
"""Of a start that is nearer to the minimum than this, Angstrom, no ratio is formed."""


@dataclass(frozen=True)
class Measures:
    """What a method made of structures whose minima are known.

    Attributes:
        name: Of the method.
        before: RMSD of the starts to the minima after superposition by a proper rotation, ``[items]`` float64,
            Angstrom.
        after: The same of what the method gave; nan where it gave nothing.
        matched: The same as after, the best over exchanges of like atoms and mirror images.
        converged: Whether the method came to rest by its own measure, ``[items]``.
        seconds: Wall time of the method.
        energy: Energy above the minimum, ``[items]`` float64, eV; None where it was not asked for.
    """

    name: str
    before: Tensor
    after: Tensor
    matched: Tensor
    converged: Tensor
    seconds: float
    energy: Tensor | None = None

    @property
    def ratio(self) -> Tensor:
        """RMSD after over RMSD before, ``[items]``; nan for starts at the minimum."""
        return torch.where(self.before > AT_MINIMUM, self.after / self.before, math.nan)

    def scores(self) -> dict[str, float]:
        """Averages by name: lengths in Angstrom, energies in kcal/mol.

        Means leave out structures for which the method gave nothing (``n_failed`` counts them); fractions of success
        are over all.
        """
        given = self.after.isfinite()
        found = {
            "rmsd_before": _mean(self.before),
            "rmsd_after": _mean(self.after),
            "rmsd_median": _median(self.after),
            "rmsd_matched": _mean(self.matched),
            "rmsd_ratio": _mean(self.ratio),
            "rmsd_ratio_of_means": float(self.after[given].mean() / self.before[given].mean()),
            **{f"below_{limit:g}": float((self.after < limit).double().mean()) for limit in LIMITS},
            "halved": float((self.ratio < 0.5).double().mean()),
            "converged": float(self.converged.double().mean()),
            "n_failed": float((~given).sum()),
        }
        if self.energy is not None:
            kcal = self.energy * factor("eV", "kcal/mol")
            found |= {"energy": _mean(kcal), "energy_median": _median(kcal)}
        return found


def measure(
    relaxed: Relaxed,
    energy: Tensor | None,
    start: Batch,
    reference: Batch,
    random: Randomness,
    lowest: Tensor | None = None,
) -> Measures:
    """Compares relaxed structures with their minima.

    Args:
        relaxed: What a method gave.
        energy: Energies of these structures, ``[items]``, eV, if they are to be compared.
        start: Where it started, flat.
        reference: The minima: the same molecules in the same order of atoms, flat.
        random: Decides rotations from which matches of like atoms are sought.
        lowest: Energies at the minima, ``[items]``, eV.
    """
    above = None if energy is None or lowest is None else energy - lowest
    return Measures(
        relaxed.name,
        rmsd(start, reference),
        rmsd(relaxed.structures, reference),
        matched_rmsd(relaxed.structures, reference, random),
        relaxed.converged,
        relaxed.seconds,
        above,
    )


def _mean(values: Tensor) -> float:
    return float(values[values.isfinite()].mean())


def _median(values: Tensor) -> float:
    finite = values[values.isfinite()]
    return float(finite.median()) if len(finite) else math.nan
