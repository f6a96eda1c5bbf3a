"""What else brings a structure to its minimum: GFN2-xTB and MMFF94, molecule by molecule, on the CPU."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from hydramol.core.batch import Batch
from hydramol.core.progress import progress
from hydramol.evaluation import gfn2, mmff


@dataclass(frozen=True)
class Relaxed:
    """What a method made of some structures.

    Attributes:
        name: Of the method.
        structures: Flat, in the order of the structures it started from; nan where the method gave nothing.
        converged: Whether it came to rest by its own measure, ``[items]`` bool.
        seconds: Wall time of all.
    """

    name: str
    structures: Batch
    converged: Tensor
    seconds: float


_Minimum = gfn2.Minimum | mmff.Minimum


class _Molecule(NamedTuple):
    z: np.ndarray
    pos: np.ndarray
    charge: int
    multiplicity: int


def gfn2_relaxed(start: Batch, name: str = "GFN2") -> Relaxed:
    """Relaxes with GFN2-xTB; nan where the electrons of a structure do not converge.

    Raises:
        HydramolError: tblite is not installed.
    """
    return _each(
        start, name, lambda one, _: gfn2.relax(one.z, one.pos, charge=one.charge, multiplicity=one.multiplicity)
    )


def mmff_relaxed(start: Batch, topology: Batch | None = None, name: str = "MMFF94") -> Relaxed:
    """Relaxes with MMFF94; nan for molecules for which it has no types.

    Args:
        start: Structures.
        topology: Structures to read the bonds from; a force field has to be told them. The start by default, whose
            bonds may not be what they should.
        name: Of the method.
    """
    bonds = mmff.bonds_of(start if topology is None else topology)
    return _each(start, name, lambda one, item: mmff.relax(one.z, one.pos, bonds[item]))


def gfn2_energies(structures: Batch) -> Tensor:
    """GFN2-xTB energies, ``[items]`` float64, eV; nan for broken structures.

    Raises:
        HydramolError: tblite is not installed.
    """
    found = []
    with progress(len(structures), "GFN2 energies") as advance:
        for one in _molecules(structures):
            found.append(gfn2.energy_of(one.z, one.pos, charge=one.charge, multiplicity=one.multiplicity))
            advance(1)
    return torch.tensor(found, dtype=torch.float64)


def _each(start: Batch, name: str, relax: Callable[[_Molecule, int], _Minimum | None]) -> Relaxed:
    """Relaxes one structure after the other."""
    start = start.to_layout("flat").to("cpu")
    positions, converged = [], []
    started = time.perf_counter()
    with progress(len(start), f"{name} relaxations") as advance:
        for item, one in enumerate(_molecules(start)):
            found = relax(one, item) if np.isfinite(one.pos).all() else None
            positions.append(np.full_like(one.pos, np.nan) if found is None else found.pos)
            converged.append(found is not None and found.converged)
            advance(1)
    pos = torch.from_numpy(np.concatenate(positions))
    return Relaxed(name, start.with_fields(pos=pos), torch.tensor(converged), time.perf_counter() - started)


def _molecules(batch: Batch) -> Iterator[_Molecule]:
    flat = batch.to_layout("flat").to("cpu")
    sizes = flat.sizes["atom"].tolist()
    charges, multiplicities = (
        flat[name].tolist() if name in flat else [default] * len(flat)
        for name, default in (("charge", 0), ("multiplicity", 1))
    )
    parts = zip(flat["z"].split(sizes), flat["pos"].double().split(sizes), charges, multiplicities, strict=True)
    for z, pos, charge, multiplicity in parts:
        yield _Molecule(z.numpy(), pos.numpy(), charge, multiplicity)
