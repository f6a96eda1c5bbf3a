"""Structures of a file in any format that ASE reads. What is wrong with one structure does not cost the others.

Files of many xyz frames or SDF records are cut into single ones before ASE sees them: ASE gives up a whole xyz file
for one broken frame, and reads only the first record of an SDF file.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hydramol.core.batch import Batch
from hydramol.core.errors import DataError

NEAREST = 0.01
"""Two atoms nearer than this are one atom written twice, Angstrom."""


@dataclass(frozen=True)
class StructureFile:
    """What a file holds.

    Attributes:
        batch: The structures that can be used, flat: ``z``, ``pos`` (Angstrom, float32), ``charge`` and
            ``multiplicity`` where the file states them, and ``item``, the number of each in the file from 0 on.
        n_structures: Structures in the file, broken ones included.
        skipped: Reasons by number of those that are left out.
        notes: What to know of the others, one line each.
    """

    batch: Batch
    n_structures: int
    skipped: dict[int, str]
    notes: list[str]


def read_structures(path: Path) -> StructureFile:
    """Reads all structures of a file.

    Raises:
        DataError: The file cannot be read, or nothing in it is a structure.
    """
    found: dict[int, Any] = {}
    skipped: dict[int, str] = {}
    periodic = []
    for number, atoms in enumerate(_frames(path)):
        reason = atoms if isinstance(atoms, str) else _fault(atoms)
        if reason is not None:
            skipped[number] = reason
            continue
        found[number] = atoms
        if atoms.pbc.any():
            periodic.append(number)
    if not found:
        first = next(iter(skipped.values()), "the file is empty")
        raise DataError(f"holds no structure that can be read: {first}", where=str(path))
    notes = []
    if periodic:
        notes.append(f"{_count(periodic)} in periodic boxes: taken as single molecules, the boxes are ignored")
    return StructureFile(_batch(found), len(found) + len(skipped), skipped, notes)


def _batch(found: dict[int, Any]) -> Batch:
    """One flat batch of ASE structures by number."""
    fields = {
        "z": torch.from_numpy(np.concatenate([atoms.numbers for atoms in found.values()])).to(torch.int64),
        "pos": torch.from_numpy(np.concatenate([atoms.positions for atoms in found.values()])).to(torch.float32),
        "item": torch.tensor(list(found)),
    }
    for name, default in (("charge", 0), ("multiplicity", 1)):
        values = [_whole(atoms.info.get(name)) for atoms in found.values()]
        if any(value is not None for value in values):
            fields[name] = torch.tensor([default if value is None else value for value in values])
    return Batch(fields, {"atom": torch.tensor([len(atoms) for atoms in found.values()])})


def _fault(atoms: Any) -> str | None:
    """Why a structure cannot be used."""
    if not len(atoms):
        return "has no atoms"
    if (atoms.numbers < 1).any():
        return f"atom {int(np.flatnonzero(atoms.numbers < 1)[0]) + 1} is of no known element"
    broken = ~np.isfinite(atoms.positions).all(1)
    if broken.any():
        return f"the position of atom {int(np.flatnonzero(broken)[0]) + 1} is not finite"
    close = _closest(atoms.positions)
    return None if close is None else f"atoms {close[0] + 1} and {close[1] + 1} are at the same place"


def _closest(pos: np.ndarray) -> tuple[int, int] | None:
    """Two atoms that are nearer than any two can be."""
    from scipy.spatial import cKDTree

    pairs = cKDTree(pos).query_pairs(NEAREST)
    return min(pairs) if pairs else None


def _whole(value: Any) -> int | None:
    """A whole number, if a file states one."""
    try:
        return int(value) if value is not None and float(value) == int(value) else None
    except (TypeError, ValueError):
        return None


def _count(numbers: list[int]) -> str:
    return f"structure {numbers[0]} is" if len(numbers) == 1 else f"{len(numbers)} structures are"


# --- reading --------------------------------------------------------------------------------------------------------


def _frames(path: Path) -> Iterator[Any]:
    """ASE structures in their order; for a broken one, what is wrong with it."""
    if not path.is_file():
        raise DataError("there is no such file", where=str(path), fix="name a file of structures")
    cut = _CUTS.get(path.suffix.lower())
    if cut is None:
        yield from _parsed(str(path), None, str(path))
        return
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=str(path)) from error
    names, pieces = cut
    for piece in pieces(text):
        if piece.text is None:
            yield piece.fault
            continue
        tried: Any = piece.fault
        for name in names:
            try:
                (tried,) = _parsed(io.StringIO(piece.text), name, str(path))
                break
            except DataError as error:
                tried = f"{error.what} (at line {piece.line})"
        yield tried


@dataclass(frozen=True)
class _Piece:
    """One structure of a text file: its text, or what is wrong with it, and its first line."""

    line: int
    text: str | None = None
    fault: str = ""


def _xyz_pieces(text: str) -> Iterator[_Piece]:
    """Cuts a file of xyz frames: a count, a comment, so many atoms; lattice vectors below, as some programs write."""
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        if not lines[at].strip():
            at += 1
            continue
        try:
            n_atoms = int(lines[at])
            if n_atoms < 0:
                raise ValueError
        except ValueError:
            yield _Piece(at + 1, fault=f"line {at + 1} is no number of atoms; what follows it is not read")
            return
        end = at + 2 + n_atoms
        if end > len(lines):
            yield _Piece(at + 1, fault=f"the file ends within the structure that begins in line {at + 1}")
            return
        while end < len(lines) and lines[end].lstrip().startswith("VEC"):
            end += 1
        yield _Piece(at + 1, "\n".join(lines[at:end]) + "\n")
        at = end


def _sdf_pieces(text: str) -> Iterator[_Piece]:
    """Cuts an SDF file at its ``$$$$`` lines."""
    start = 0
    record: list[str] = []
    for number, line in enumerate([*text.splitlines(), "$$$$"]):
        if line.startswith("$$$$"):
            if any(one.strip() for one in record):
                yield _Piece(start + 1, "\n".join(record) + "\n")
            start, record = number + 1, []
        else:
            record.append(line)


_CUTS: dict[str, tuple[tuple[str, ...], Callable[[str], Iterator[_Piece]]]] = {
    # A comment that is no list of key=value pairs may break the extended format; the plain one ignores it.
    ".xyz": (("extxyz", "xyz"), _xyz_pieces),
    ".extxyz": (("extxyz",), _xyz_pieces),
    ".sdf": (("sdf",), _sdf_pieces),
}
"""By suffix: ASE's names of the format, tried in turn, and how to cut a file into single structures."""


def _parsed(source: Any, name: str | None, where: str) -> list[Any]:
    """What ASE makes of a source.

    Raises:
        DataError: Nothing; readers of some hundred formats have as many ways of saying so.
    """
    import ase.io

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about details of formats which do not concern positions
            found = ase.io.read(source, index=":", format=name, do_not_split_by_at_sign=True)
    except Exception as error:
        raise DataError(
            f"cannot be read as {name or 'a format that ASE knows'}: {_in_words(error)}",
            where=where,
            fix="convert it to extxyz, for example",
        ) from error
    return found if isinstance(found, list) else [found]


def _in_words(error: Exception) -> str:
    """One line of an error of ASE's."""
    from ase.data import atomic_numbers

    if isinstance(error, KeyError) and str(error.args[0]) not in atomic_numbers and str(error.args[0]).isalpha():
        return f"{error.args[0]} is no element"
    text = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
