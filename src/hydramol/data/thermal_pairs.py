"""Thermally displaced molecules with their minima: a stand-in for relaxation pairs that needs no download."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from hydramol.core.batch import Batch
from hydramol.core.errors import ConfigError
from hydramol.core.randomness import Randomness
from hydramol.data.embedded_split import embedded_split
from hydramol.data.molecule_pairs import MoleculePairs
from hydramol.data.splits import Size

BOLTZMANN_IN_EV = 8.617333262e-5
"""eV/K (CODATA 2018)."""

DALTON = 103.642696
"""One dalton in eV fs^2/Angstrom^2 (CODATA 2018)."""

_WAVENUMBER = 2.0 * math.pi * 2.99792458e-5
"""Angular frequency of 1/cm, in 1/fs."""


class ThermalPairs(MoleculePairs):
    """Embedded molecules whose atoms are shaken, each with its minimum as ``pos_reference``.

    A stand-in, not molecular dynamics: every coordinate of atom i is moved by an independent Gaussian number of
    standard deviation sqrt(kB T / k_i), with k_i = m_i omega^2, the classical thermal amplitude of an Einstein
    oscillator. All atoms have one frequency omega, so light atoms move more: at 300 K and 1000/cm, 0.083 Angstrom for
    hydrogen and 0.024 for carbon. Real molecules move together, along soft modes further and along bonds less.

    Args:
        name: Data set, a file of `hydramol.data.embedded`.
        temperatures: Temperatures, K; every molecule is displaced at each of them.
        frames: Displaced structures of each molecule at each temperature.
        wavenumber: Frequency of the oscillators, 1/cm; lower ones move further.
        seed: Seed of the displacements, which depend on it, the molecule and the number of the frame alone.
        max_heavy_atoms: Keep molecules of at most so many atoms that are not hydrogen; None keeps all.
        train_size: Molecules of the training split: a count, a fraction, or None for the rest. Splits are those of the
            embedded molecules with the same settings; all frames of a molecule are on one side.
        valid_size: The same of the validation split.
        test_size: The same of the test split.
        split_seed: Seed of the split.

    Attributes:
        molecule: Number of each item's molecule in the embedded file, ``[items]``.
        temperature: Of each item, K, ``[items]``.

    Raises:
        ConfigError: A number is out of range.
    """

    def __init__(
        self,
        name: str = "molecules",
        temperatures: Sequence[float] = (300.0,),
        frames: int = 1,
        wavenumber: float = 1000.0,
        seed: int = 0,
        max_heavy_atoms: int | None = None,
        train_size: Size = None,
        valid_size: Size = 0.1,
        test_size: Size = 0.1,
        split_seed: int = 0,
    ) -> None:
        if not temperatures or min(temperatures) <= 0 or frames < 1 or not wavenumber > 0:
            asked = f"temperatures={list(temperatures)}, frames={frames}, wavenumber={wavenumber}"
            raise ConfigError(f"cannot displace molecules with {asked}", where="data", fix="all of them positive")
        found = embedded_split(name, max_heavy_atoms, train_size, valid_size, test_size, split_seed)
        arrays, n_copies = found.arrays, len(temperatures) * frames
        minima = Batch({"item": torch.from_numpy(found.molecule)}, {"atom": torch.from_numpy(arrays.n_atoms)})
        z, reference = torch.from_numpy(arrays.z.astype(np.int64)), torch.from_numpy(arrays.pos)
        random = Randomness(seed, "thermal")
        # Copy after copy: all molecules at the first temperature, then again, then at the next temperature.
        each = [temperature for temperature in temperatures for _ in range(frames)]
        displaced = [
            reference + amplitude(z, temperature, wavenumber)[:, None] * random.at(copy).normal_rows(minima)
            for copy, temperature in enumerate(each)
        ]
        n_molecules = len(found.molecule)
        self.molecule = np.tile(found.molecule, n_copies)
        self.temperature = np.repeat(np.array(each, dtype=np.float64), n_molecules)
        super().__init__(
            z.repeat(n_copies),
            torch.cat(displaced),
            np.tile(arrays.n_atoms, n_copies),
            splits={side: np.flatnonzero(np.isin(self.molecule, items)) for side, items in found.splits.items()},
            pos_reference=reference.repeat(n_copies, 1),
            names=np.tile(arrays.names, n_copies),
            where=f"{found.where}, thermally displaced",
        )


def amplitude(z: Tensor, temperature: float, wavenumber: float) -> Tensor:
    """Standard deviation of a coordinate of an Einstein oscillator, sqrt(kB T / (m omega^2)), classical.

    Args:
        z: Atomic numbers, ``[atoms]``.
        temperature: K.
        wavenumber: Of the oscillator, 1/cm.

    Returns:
        ``[atoms]`` float64, Angstrom.
    """
    from ase.data import atomic_masses

    mass = torch.as_tensor(np.asarray(atomic_masses), dtype=torch.float64)[z] * DALTON
    omega = wavenumber * _WAVENUMBER
    return torch.sqrt(BOLTZMANN_IN_EV * temperature / mass) / omega
