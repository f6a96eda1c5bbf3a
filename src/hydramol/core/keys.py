"""The one table of what a sample may carry. Collate, padding, rotation and unit checks are driven by it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["point", "vector", "frame", "invariant", "index"]


@dataclass(frozen=True)
class Key:
    """What one field of a sample or batch means.

    Attributes:
        axes: Named axes ("atom", "edge", "residue", "frame", "graph") vary in length between items; integers are fixed.
        unit: Unit of the values, "1" where there is none.
        kind: How it moves with the molecule: a "point" is rotated and translated, a "vector" is rotated, a "frame"
            (rotation matrix) is rotated from the left, an "invariant" or "index" stays.
        pad: Value of padded entries.
        meaning: One line for people.
    """

    axes: tuple[str | int, ...]
    unit: str
    kind: Kind
    pad: float | int = 0
    meaning: str = ""

    @property
    def axis(self) -> str:
        """The leading named axis, which decides how items are joined."""
        return str(self.axes[0])


KEYS: dict[str, Key] = {
    "z": Key(("atom",), "1", "index", 0, "atomic number"),
    "pos": Key(("atom", 3), "Angstrom", "point", 0.0, "positions"),
    "pos_reference": Key(("atom", 3), "Angstrom", "point", 0.0, "positions of the minimum a displaced structure is of"),
    "forces": Key(("atom", 3), "eV/Angstrom", "vector", 0.0, "forces"),
    "noise": Key(("atom", 3), "1", "vector", 0.0, "the noise in a noised structure"),
    "energy": Key(("graph",), "eV", "invariant", 0.0, "total energy"),
    "charge": Key(("graph",), "e", "index", 0, "total charge, 0 where a data set does not say"),
    "multiplicity": Key(("graph",), "1", "index", 1, "spin multiplicity, 1 where a data set does not say"),
    "item": Key(("graph",), "1", "index", 0, "index of the item in its data set"),
    "view": Key(("graph",), "1", "index", 0, "number of the augmented view of the item"),
    "order": Key(("graph",), "1", "index", 0, "position of the item in the epoch, counted over all ranks"),
}


def key_of(name: str) -> Key:
    """Looks a field up in the table.

    Raises:
        KeyError: The name is not in the table; a field without axes and unit cannot be batched.
    """
    try:
        return KEYS[name]
    except KeyError:
        raise KeyError(f"field {name!r} is not in hydramol.core.keys.KEYS; add a line for it there") from None
