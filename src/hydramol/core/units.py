"""Units. Inside: Angstrom, eV, fs, elementary charge. Data sets declare theirs and convert once, at reading."""

from __future__ import annotations

# CODATA 2018, as ASE uses them; written out so that core needs no ASE.
HARTREE_IN_EV = 27.211386245988
BOHR_IN_ANGSTROM = 0.529177210903
KCAL_PER_MOL_IN_EV = 0.043364115308770516

IN_INTERNAL: dict[str, float] = {
    "eV": 1.0,
    "Hartree": HARTREE_IN_EV,
    "kcal/mol": KCAL_PER_MOL_IN_EV,
    "Angstrom": 1.0,
    "Bohr": BOHR_IN_ANGSTROM,
    "nm": 10.0,
    "eV/Angstrom": 1.0,
    "Hartree/Bohr": HARTREE_IN_EV / BOHR_IN_ANGSTROM,
    "kcal/mol/Angstrom": KCAL_PER_MOL_IN_EV,
    "fs": 1.0,
    "ps": 1000.0,
}
_DIMENSION = {
    **dict.fromkeys(("eV", "Hartree", "kcal/mol"), "energy"),
    **dict.fromkeys(("Angstrom", "Bohr", "nm"), "length"),
    **dict.fromkeys(("eV/Angstrom", "Hartree/Bohr", "kcal/mol/Angstrom"), "force"),
    **dict.fromkeys(("fs", "ps"), "time"),
}


def factor(source: str, target: str) -> float:
    """What a number in ``source`` is multiplied by to be in ``target``.

    Raises:
        ValueError: A unit is unknown, or the two measure different things.
    """
    for unit in (source, target):
        if unit not in IN_INTERNAL:
            raise ValueError(f"unknown unit {unit!r}; known: {', '.join(IN_INTERNAL)}")
    if _DIMENSION[source] != _DIMENSION[target]:
        raise ValueError(f"{source} is {_DIMENSION[source]}, {target} is {_DIMENSION[target]}")
    return IN_INTERNAL[source] / IN_INTERNAL[target]
