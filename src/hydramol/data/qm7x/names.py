"""Names of structures, ``Geom-m1-i1-c1-opt`` or ``Geom-m1-i1-c1-d7``, and the list of duplicated minima.

``m`` counts molecules (one SMILES each), ``i`` stereoisomers of one, ``c`` conformers of one, all from 1; ``opt`` is
the minimum and ``d1`` ... ``d100`` are displaced along its normal modes.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from hydramol.core.errors import DataError

MINIMUM = 0
"""Frame number of the minimum, which is named ``opt``."""

_STRUCTURE = re.compile(r"Geom-m(\d+)-i(\d+)-c(\d+)-(?:opt|d([1-9]\d*))")
_CONFORMER = re.compile(r"Geom-m(\d+)-i(\d+)-c(\d+)(?:-opt)?")


class Name(NamedTuple):
    """Numbers of one structure; ``frame`` is 0 for the minimum."""

    molecule: int
    isomer: int
    conformer: int
    frame: int

    def __str__(self) -> str:
        last = "opt" if self.frame == MINIMUM else f"d{self.frame}"
        return f"Geom-m{self.molecule}-i{self.isomer}-c{self.conformer}-{last}"


def parse(text: str, where: str) -> Name:
    """Numbers of a structure from its name.

    Raises:
        DataError: It is no such name.
    """
    found = _STRUCTURE.fullmatch(text)
    if found is None:
        raise DataError(f"{text!r} is no name of a QM7-X structure, as Geom-m1-i1-c1-opt is", where=where)
    return Name(int(found[1]), int(found[2]), int(found[3]), int(found[4] or MINIMUM))


def read_duplicates(file: Path) -> set[tuple[int, int, int]]:
    """Molecule, isomer and conformer of the minima that the authors found twice.

    Args:
        file: ``DupMols.dat``, one name a line, with or without ``-opt``.

    Raises:
        DataError: It is missing or holds something else.
    """
    try:
        lines = file.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        fix = "it is part of Zenodo record 4288677; or set data.remove_duplicates=false"
        raise DataError(f"the list of duplicates cannot be read: {error}", where=str(file), fix=fix) from error
    duplicates = set()
    for line in lines:
        found = _CONFORMER.fullmatch(line)
        if found is None:
            raise DataError(f"{line!r} is no name of a QM7-X minimum", where=str(file), fix="fetch it again")
        duplicates.add((int(found[1]), int(found[2]), int(found[3])))
    return duplicates
