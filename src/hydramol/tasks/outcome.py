"""What a task gives back: numbers and sections of a report, and the structures behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from hydramol.core.batch import Batch
from hydramol.core.results import Results


@dataclass
class StructureSet:
    """Structures that belong side by side: batches of the same items by label, and a caption for each item."""

    structures: Mapping[str, Batch]
    captions: Sequence[str] = ()


@dataclass
class Outcome:
    """Results with the structures behind them.

    Attributes:
        results: Scalars and report sections; structures shown there name files of `structures`.
        structures: By file name ("generated.extxyz"); whoever saves them chooses the folder.
    """

    results: Results
    structures: dict[str, StructureSet] = field(default_factory=dict)
