"""Langevin dynamics of one molecule with GFN2-xTB, and the minimum below each frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from hydramol.core.engines import require
from hydramol.core.randomness import seed_of
from hydramol.evaluation import gfn2
from hydramol.prepare.molecules.relax import perceive_bonds


class Frame(NamedTuple):
    """A frame and the minimum it relaxes to; neither is centred or superposed.

    Attributes:
        number: Number of the frame in its run, from 0.
        pos: Positions ``[atoms, 3]``, Angstrom.
        energy: Potential energy, eV.
        pos_reference: Positions of the minimum ``[atoms, 3]``, Angstrom.
        energy_reference: Energy of the minimum, eV.
    """

    number: int
    pos: np.ndarray
    energy: float
    pos_reference: np.ndarray
    energy_reference: float


@dataclass(frozen=True)
class Dynamics:
    """Settings of the dynamics.

    Attributes:
        temperature: Of the Langevin thermostat, K.
        n_frames: Frames of each molecule.
        interval: Time between frames, fs.
        equilibration: Time before the first frame, fs.
        timestep: Step of the integrator, fs.
        friction: Of the thermostat, 1/fs.
        fmax: Largest force left on an atom of a minimum, eV/Angstrom.
        max_steps: Steps after which the relaxation of a frame is given up.
    """

    temperature: float = 300.0
    n_frames: int = 4
    interval: float = 50.0
    equilibration: float = 100.0
    timestep: float = 1.0
    friction: float = 0.02
    fmax: float = 0.01
    max_steps: int = 400

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if value < 0 or (value == 0 and name != "equilibration"):
                raise ValueError(f"{name} must be positive, got {value}")

    def __call__(self, z: np.ndarray, minimum: np.ndarray, seed: int, molecule: int) -> list[Frame]:
        """Runs one molecule from a minimum.

        The reference of a frame is the minimum of its own basin, not the one the run began at: between the two, methyl
        groups have turned and conformers have changed.

        Args:
            z: Atomic numbers ``[atoms]``.
            minimum: Positions ``[atoms, 3]``, Angstrom.
            seed: Seed of the whole set.
            molecule: Number of the molecule; with the seed it decides velocities and thermostat.

        Returns:
            Frames, without those that do not relax, or relax to another molecule; none after a step on which the method
            fails.
        """
        atoms, run = self._start(z, minimum, np.random.default_rng(seed_of(seed, "dynamics", molecule)))
        bonds = perceive_bonds(z, minimum)
        frames = []
        try:
            run.run(round(self.equilibration / self.timestep))
            for number in range(self.n_frames):
                run.run(max(1, round(self.interval / self.timestep)))
                frame = self._frame(number, z, atoms.get_positions(), float(atoms.get_potential_energy()))
                if frame is not None and np.array_equal(perceive_bonds(z, frame.pos_reference), bonds):
                    frames.append(frame)
        except require("ase.calculators.calculator", "qm").CalculationFailed:
            pass  # what came before is sound
        return frames

    def _start(self, z: np.ndarray, minimum: np.ndarray, rng: np.random.Generator) -> tuple[Any, Any]:
        units = require("ase.units", "qm")
        atoms = require("ase", "qm").Atoms(numbers=z, positions=minimum)
        atoms.calc = require("tblite.ase", "qm").TBLite(method=gfn2.METHOD, verbosity=0)
        # Maxwell-Boltzmann: each component of a momentum has the variance m kB T.
        spread = np.sqrt(atoms.get_masses() * units.kB * self.temperature)[:, None]
        atoms.set_momenta(rng.standard_normal((len(z), 3)) * spread)
        langevin = require("ase.md.langevin", "qm").Langevin(
            atoms,
            self.timestep * units.fs,
            temperature_K=self.temperature,
            friction=self.friction / units.fs,
            fixcm=False,  # the molecule may drift: a frame and its minimum drift together
            rng=rng,
        )
        return atoms, langevin

    def _frame(self, number: int, z: np.ndarray, pos: np.ndarray, energy: float) -> Frame | None:
        found = gfn2.relax(z, pos, self.fmax, self.max_steps)
        if found is None or not found.converged:
            return None
        return Frame(number, pos, energy, found.pos, found.energy)
