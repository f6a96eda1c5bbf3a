"""What a task gives back: numbers and sections of a report, and the structures behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hydramol.core.batch import Batch
from hydramol.core.results import Results
from hydramol.evaluation.structures import Value


@dataclass
class StructureSet:
    """Structures that belong side by side.

    Attributes:
        structures: By label: batches of the same items, or several of these in time.
        captions: One line of each item.
        info: More about each item by name, for the file.
    """

    structures: Mapping[str, Batch | Sequence[Batch]]
    captions: Sequence[str] = ()
    info: Sequence[Mapping[str, Value]] = ()


@dataclass
class Outcome:
    """Results with the structures behind them.

    Attributes:
        results: Scalars and report sections; structures shown there name files of `structures`.
        structures: By file name ("generated.extxyz"); whoever saves them chooses the folder.
        main: Which of these is the answer, and goes to the file that a user names by ``out=<file>``.
    """

    results: Results
    structures: dict[str, StructureSet] = field(default_factory=dict)
    main: str | None = None
