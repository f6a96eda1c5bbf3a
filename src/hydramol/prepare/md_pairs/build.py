"""The whole way: dynamics of each molecule in parallel, frames joined. Finished molecules stay in the work folder."""

from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from hydramol.core.engines import versions
from hydramol.core.errors import DataError, HydramolError
from hydramol.core.files import write_json, writing
from hydramol.core.progress import progress
from hydramol.data import embedded
from hydramol.data.md_pairs import FILE
from hydramol.evaluation import gfn2
from hydramol.prepare.md_pairs import dynamics as dynamics_module
from hydramol.prepare.md_pairs.dynamics import Dynamics, Frame
from hydramol.prepare.molecules.pack import npz_bytes

_LOG = logging.getLogger(__name__)
ENGINES = ("tblite", "ase", "numpy")
UNITS = {"pos": "Angstrom", "pos_reference": "Angstrom", "energy": "eV", "energy_reference": "eV"}


class MDPairsBuilder:
    """Builds stand-in relaxation pairs: frames of dynamics of embedded molecules and the minima they relax to.

    The arguments from ``temperature`` on are those of `hydramol.prepare.md_pairs.dynamics.Dynamics`. Workers are fresh
    interpreters: a script of your own that calls this needs ``if __name__ == "__main__":``.

    Args:
        out: Folder for ``molecules_md.npz`` and its manifest ``molecules_md.json``.
        name: Data set, a file of `hydramol.data.embedded`.
        n_molecules: The first so many of its molecules, which were drawn in random order; None takes all. More of them
            continue from the finished ones.
        max_heavy_atoms: Leave larger molecules out; None keeps all.
        seed: Seed of velocities and thermostats.
        n_workers: Processes; the result does not depend on it.
        work_dir: Where finished molecules are kept; ``<out>/work`` if None.
        temperature: Of the Langevin thermostat, K.
        n_frames: Frames of each molecule.
        interval: Time between frames, fs.
        equilibration: Time before the first frame, fs.
        timestep: Step of the integrator, fs.
        friction: Of the thermostat, 1/fs.
        fmax: Largest force left on an atom of a minimum, eV/Angstrom.
    """

    def __init__(
        self,
        out: str | Path,
        name: str = "molecules",
        n_molecules: int | None = None,
        max_heavy_atoms: int | None = None,
        seed: int = 0,
        n_workers: int = 1,
        work_dir: str | Path | None = None,
        temperature: float = 300.0,
        n_frames: int = 4,
        interval: float = 50.0,
        equilibration: float = 100.0,
        timestep: float = 1.0,
        friction: float = 0.02,
        fmax: float = 0.01,
    ) -> None:
        for key, value in (("n_molecules", n_molecules), ("n_workers", n_workers)):
            if value is not None and value < 1:
                raise ValueError(f"{key} must be at least 1, got {value}")
        self.out, self.name, self.n_molecules, self.max_heavy_atoms = Path(out), name, n_molecules, max_heavy_atoms
        self.seed, self.n_workers = seed, n_workers
        self.work_dir = self.out / "work" if work_dir is None else Path(work_dir)
        self.dynamics = Dynamics(temperature, n_frames, interval, equilibration, timestep, friction, fmax)

    def run(self) -> dict[str, Any]:
        """Builds the files.

        Returns:
            The manifest.

        Raises:
            HydramolError: An engine is missing, no frame was found, or a file cannot be written.
        """
        engines = versions(*ENGINES, extra="qm")
        source = embedded.manifest_of(embedded.path_of(self.name))["sha256"]
        chosen = self._molecules()
        found: dict[int, list[Frame]] = {}
        with progress(len(chosen), "molecular dynamics") as advance:
            for molecule, frames in self._run_all(chosen, self._work_folder(engines, source)):
                found[molecule] = frames
                advance(1)
        if not any(found.values()):
            raise DataError("no frame relaxed to its molecule", where=str(self.out), fix="lower data.temperature")
        manifest = self._write(chosen, found, engines, source)
        _LOG.info("wrote %s: %d frames of %d molecules", self.out / FILE, manifest["n_frames"], len(chosen))
        return manifest

    def _molecules(self) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        """Elements and minimum of each molecule by its number in the embedded file."""
        raw = embedded.load(self.name)
        ends = np.cumsum(raw["n_atoms"])
        chosen: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        for number, (end, size) in enumerate(zip(ends, raw["n_atoms"], strict=True)):
            z = raw["z"][end - size : end]
            if len(chosen) == self.n_molecules:
                break
            if self.max_heavy_atoms is None or (z > 1).sum() <= self.max_heavy_atoms:
                chosen[number] = (z.astype(np.int64), raw["pos"][end - size : end])
        return chosen

    def _work_folder(self, engines: dict[str, str], source: str) -> Path:
        """A folder for exactly these settings, engines and this code; what others left is never mixed in."""
        files = (Path(str(module.__file__)) for module in (dynamics_module, gfn2))
        code = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
        settings = {"seed": self.seed, "code": code, "source": source, **asdict(self.dynamics), **engines}
        return self.work_dir / hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]

    def _run_all(self, chosen: dict[int, Any], kept: Path) -> Iterator[tuple[int, list[Frame]]]:
        """Molecules in their order, whatever the order in which workers finish them."""
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(self.n_workers, mp_context=context, initializer=_single_threaded) as pool:
            try:
                waiting = [
                    (number, pool.submit(run_molecule, self.dynamics, self.seed, number, z, pos, kept))
                    for number, (z, pos) in chosen.items()
                ]
                for number, future in waiting:
                    yield number, future.result()
            except BrokenProcessPool as error:
                fix = "see whether memory ran out; a second run continues from the finished molecules"
                raise HydramolError("a worker process died", where=str(self.work_dir), fix=fix) from error
            finally:
                pool.shutdown(cancel_futures=True)

    def _write(
        self, chosen: dict[int, Any], found: dict[int, list[Frame]], engines: dict[str, str], source: str
    ) -> dict[str, Any]:
        rows = [(number, frame) for number, frames in found.items() for frame in frames]
        arrays = {
            "molecule": np.array([number for number, _ in rows], dtype=np.int64),
            "frame": np.array([frame.number for _, frame in rows], dtype=np.int64),
            "n_atoms": np.array([len(frame.pos) for _, frame in rows], dtype=np.int64),
            "energy": np.array([frame.energy for _, frame in rows]),
            "energy_reference": np.array([frame.energy_reference for _, frame in rows]),
            "z": np.concatenate([chosen[number][0] for number, _ in rows]).astype(np.uint8),
            "pos": np.concatenate([frame.pos for _, frame in rows]).astype(np.float32),
            "pos_reference": np.concatenate([frame.pos_reference for _, frame in rows]).astype(np.float32),
        }
        content = npz_bytes(arrays)
        asked = {"n_molecules": len(chosen), "max_heavy_atoms": self.max_heavy_atoms, "seed": self.seed}
        manifest = {
            "title": "Stand-in relaxation pairs: frames of GFN2-xTB dynamics of embedded molecules and their minima",
            "version": 1,
            "source": self.name,
            "source_sha256": source,
            "settings": {**asked, **asdict(self.dynamics), "method": gfn2.METHOD},
            "engines": engines,
            "units": UNITS,
            "n_molecules": len(chosen),
            "n_frames": len(rows),
            "n_dropped": len(chosen) * self.dynamics.n_frames - len(rows),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        with writing(self.out / FILE) as temporary:
            temporary.write_bytes(content)
        write_json((self.out / FILE).with_suffix(".json"), manifest)
        return manifest


def run_molecule(
    dynamics: Dynamics, seed: int, number: int, z: np.ndarray, minimum: np.ndarray, kept: Path
) -> list[Frame]:
    """Frames of one molecule, or those that an earlier run kept."""
    file = kept / f"{number:06d}.json"
    if file.is_file():
        rows = json.loads(file.read_text(encoding="utf-8"))
        return [
            Frame(row["number"], np.array(row["pos"]), row["energy"], np.array(row["pos_reference"]),
                  row["energy_reference"])
            for row in rows
        ]  # fmt: skip
    frames = dynamics(z, minimum, seed, number)
    rows = [
        {**frame._asdict(), "pos": frame.pos.tolist(), "pos_reference": frame.pos_reference.tolist()}
        for frame in frames
    ]
    write_json(file, rows)
    return frames


def _single_threaded() -> None:
    """One thread a worker: the molecules are small, and sums then run in one order. Before tblite loads OpenMP."""
    os.environ["OMP_NUM_THREADS"] = "1"
