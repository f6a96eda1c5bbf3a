"""The whole way: draw, relax in parallel, keep what survived, pack. Finished shards stay, so a second run continues."""

from __future__ import annotations

import hashlib
import json
import logging
import multiprocessing
import os
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from hydramol.core.engines import versions
from hydramol.core.errors import HydramolError
from hydramol.core.files import write_json
from hydramol.core.progress import progress
from hydramol.prepare.molecules import relax
from hydramol.prepare.molecules.generate import VALENCE, draw_smiles
from hydramol.prepare.molecules.pack import pack, write_packed
from hydramol.prepare.molecules.relax import Relaxation, Relaxed

_LOG = logging.getLogger(__name__)
ENGINES = ("rdkit", "tblite", "ase", "numpy")
SHARD_SIZE = 8


class Shard(NamedTuple):
    """Molecules that are relaxed together; ``first`` is the place of the first one in the order of drawing."""

    first: int
    smiles: list[str]


class MoleculesBuilder:
    """Builds a data set of small organic molecules with GFN2-xTB structures.

    Workers are fresh interpreters: a script of your own that calls this needs ``if __name__ == "__main__":``.

    Args:
        out: The pair of files to write, without ending: ``<out>.npz`` and ``<out>.json``.
        n_molecules: Molecules wanted.
        max_heavy_atoms: Largest number of atoms other than hydrogen, 9 at most.
        seed: Seed of the molecules and their first conformers.
        n_workers: Processes; the result does not depend on it.
        work_dir: Where finished shards are kept; ``<out>.work`` if None.
        fmax: Largest force left on an atom, eV/Angstrom.
    """

    def __init__(
        self,
        out: str | Path,
        n_molecules: int = 3300,
        max_heavy_atoms: int = 9,
        seed: int = 0,
        n_workers: int = 1,
        work_dir: str | Path | None = None,
        fmax: float = 0.01,
    ) -> None:
        for name, value, least in (("n_molecules", n_molecules, 1), ("n_workers", n_workers, 1), ("seed", seed, 0)):
            if value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        if fmax <= 0:
            raise ValueError(f"fmax must be positive, got {fmax}")
        self.out = Path(out)
        self.n_molecules, self.max_heavy_atoms, self.seed, self.n_workers = (
            n_molecules,
            max_heavy_atoms,
            seed,
            n_workers,
        )
        self.relaxation = Relaxation(fmax=fmax)
        self.work_dir = self.out.with_name(f"{self.out.name}.work") if work_dir is None else Path(work_dir)

    def run(self) -> dict[str, Any]:
        """Builds the files.

        Returns:
            The manifest.

        Raises:
            HydramolError: An engine is missing, there are too few such molecules, or a file cannot be written.
        """
        engines = versions(*ENGINES, extra="qm")
        kept = self._work_folder(engines)
        smiles: list[str] = []
        structures: list[Relaxed] = []
        tried = 0
        with progress(self.n_molecules, "relaxing molecules") as advance:
            for shard, results in self._relaxed_shards(kept):
                for one, structure in zip(shard.smiles, results, strict=True):
                    if len(smiles) == self.n_molecules:
                        break
                    tried += 1
                    if structure is not None:
                        smiles.append(one)
                        structures.append(structure)
                        advance(1)
                if len(smiles) == self.n_molecules:
                    break
        if len(smiles) < self.n_molecules:
            raise HydramolError(
                f"only {len(smiles)} molecules of up to {self.max_heavy_atoms} heavy atoms were found",
                where="n_molecules",
                fix="ask for fewer molecules or larger ones",
            )
        manifest = write_packed(self._npz, pack(smiles, structures), self._about(engines, tried, structures))
        _LOG.info("wrote %s: %d molecules, %d tried", self._npz, len(smiles), tried)
        return manifest

    @property
    def _npz(self) -> Path:
        return self.out.with_name(f"{self.out.name}.npz")

    def _work_folder(self, engines: dict[str, str]) -> Path:
        """A folder for exactly these settings, engines and this code; what others left is never mixed in."""
        code = hashlib.sha256(Path(relax.__file__).read_bytes()).hexdigest()
        settings = {"seed": self.seed, "code": code, **asdict(self.relaxation), **engines}
        return self.work_dir / hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]

    def _relaxed_shards(self, kept: Path) -> Iterator[tuple[Shard, list[Relaxed | None]]]:
        """Shards in the order of drawing, whatever the order in which workers finish them."""
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(self.n_workers, mp_context=context, initializer=_single_threaded) as pool:
            waiting: deque[tuple[Shard, Future[list[Relaxed | None]]]] = deque()
            try:
                for shard in self._shards():
                    waiting.append((shard, pool.submit(relax_shard, self.relaxation, self.seed, shard, kept)))
                    if len(waiting) > 2 * self.n_workers:
                        done, future = waiting.popleft()
                        yield done, future.result()
                while waiting:
                    done, future = waiting.popleft()
                    yield done, future.result()
            except BrokenProcessPool as error:
                fix = "see whether memory ran out; a second run continues from the finished shards"
                raise HydramolError("a worker process died", where=str(self.work_dir), fix=fix) from error
            finally:
                pool.shutdown(cancel_futures=True)

    def _shards(self) -> Iterator[Shard]:
        drawn, first = draw_smiles(self.seed, self.max_heavy_atoms), 0
        while smiles := list(islice(drawn, SHARD_SIZE)):
            yield Shard(first, smiles)
            first += len(smiles)

    def _about(self, engines: dict[str, str], tried: int, structures: list[Relaxed]) -> dict[str, Any]:
        formulas = {tuple(np.bincount(one.z, minlength=10)) for one in structures}
        heavy = Counter(int((one.z > 1).sum()) for one in structures)
        asked = {"n_molecules": self.n_molecules, "max_heavy_atoms": self.max_heavy_atoms, "seed": self.seed}
        overrides = [f"data.{name}={value}" for name, value in {**asked, "fmax": self.relaxation.fmax}.items()]
        return {
            "title": "Small organic molecules, drawn by valence rules, structures relaxed with GFN2-xTB",
            "version": 1,
            "licence": "CC0-1.0",
            "command": " ".join(["hydramol prepare data=molecules", *overrides]),
            "settings": {**asked, **asdict(self.relaxation)},
            "engines": engines,
            "elements": ["H", *VALENCE],
            "n_tried": tried,
            "n_compositions": len(formulas),
            "n_molecules_by_heavy_atoms": {str(size): heavy[size] for size in sorted(heavy)},
        }


def relax_shard(relaxation: Relaxation, seed: int, shard: Shard, kept: Path) -> list[Relaxed | None]:
    """Relaxes the molecules of a shard, or reads them where an earlier run kept them; None for each that was lost."""
    file = kept / f"{shard.first:06d}.json"
    if (found := _read_shard(file, shard)) is not None:
        return found
    results = [relaxation(one, _conformer_seed(seed, shard.first + i)) for i, one in enumerate(shard.smiles)]
    rows = [
        None if one is None else {"z": one.z.tolist(), "pos": one.pos.tolist(), "energy": one.energy} for one in results
    ]
    write_json(file, {"smiles": shard.smiles, "structures": rows})
    return results


def _read_shard(file: Path, shard: Shard) -> list[Relaxed | None] | None:
    if not file.is_file():
        return None
    content = json.loads(file.read_text(encoding="utf-8"))
    if content["smiles"] != shard.smiles:
        return None  # kept by another state of the generator
    return [
        None if row is None else Relaxed(np.array(row["z"]), np.array(row["pos"]), row["energy"])
        for row in content["structures"]
    ]


def _conformer_seed(seed: int, place: int) -> int:
    """A seed RDKit takes (below 2^31) for the molecule at one place in the order of drawing."""
    return int(np.random.SeedSequence([seed, place]).generate_state(1)[0] >> 1)


def _single_threaded() -> None:
    """One thread a worker: the molecules are small, and sums then run in one order. Before tblite loads OpenMP."""
    os.environ["OMP_NUM_THREADS"] = "1"
