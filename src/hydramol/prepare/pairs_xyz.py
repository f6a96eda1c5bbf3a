"""Pairs of a data set as two files that ASE reads: where a relaxation starts, and what it should end at."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Any, Literal

import torch

from hydramol.core.errors import DataError
from hydramol.core.randomness import fold, seed_of
from hydramol.data.molecule_pairs import MoleculePairs
from hydramol.evaluation.structures import write_structures

_LOG = logging.getLogger(__name__)


class PairsXYZ:
    """Writes ``start.extxyz`` and ``reference.extxyz``, structure by structure in the same order.

    They feed ``sample.py task=relax input=start.extxyz reference=reference.extxyz``.

    Args:
        out: Folder of the two files.
        pairs: A data set of pairs.
        split: Split they are taken from.
        n: So many of them, drawn at random; None takes all.
        seed: Seed of the draw.
    """

    def __init__(
        self,
        out: str | Path,
        pairs: MoleculePairs,
        split: Literal["train", "val", "test"] = "test",
        n: int | None = None,
        seed: int = 0,
    ) -> None:
        if n is not None and n < 1:
            raise ValueError(f"n must be at least 1, got {n}")
        self.out, self.pairs, self.split, self.n, self.seed = Path(out), pairs, split, n, seed

    def run(self) -> dict[str, Any]:
        """Writes the files.

        Returns:
            Their names, the number of pairs, and their sha256.

        Raises:
            DataError: The data set has no minima to go with its structures, or too few of them.
            OutputError: A file cannot be written.
        """
        items = torch.as_tensor(self.pairs.splits[self.split])
        if self.n is not None:
            if self.n > len(items):
                what = f"the {self.split} split has {len(items)} pairs, {self.n} were asked for"
                raise DataError(what, where="data.n", fix="data.n=null takes all")
            keys = fold(torch.full_like(items, seed_of(self.seed, "pairs_xyz")), items)
            items = items[keys.argsort()[: self.n]].sort().values
        batch = self.pairs.gather(items)
        if "pos_reference" not in batch:
            fix = "choose displaced structures, data.pairs.selection=pairs"
            raise DataError("has minima alone, and nothing that starts away from them", where="data.pairs", fix=fix)
        captions = [str(self.pairs.names[item]) for item in items.tolist()]
        written = {"start": batch, "reference": batch.with_fields(pos=batch["pos_reference"])}
        files = {label: self.out / f"{label}.extxyz" for label in written}
        for label, structures in written.items():
            write_structures(files[label], {label: structures}, captions)
        _LOG.info("wrote %s: %d pairs", " and ".join(str(file) for file in files.values()), len(items))
        return {
            "n_pairs": len(items),
            **{label: str(file) for label, file in files.items()},
            **{f"{label}_sha256": hashlib.sha256(file.read_bytes()).hexdigest() for label, file in files.items()},
        }
