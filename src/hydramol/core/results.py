"""What an evaluation says, in parts that a report can draw without knowing the system they came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal


@dataclass
class Table:
    """Rows of text or numbers; ``note`` says how to read them."""

    columns: list[str]
    rows: list[list[Any]]
    note: str = ""


@dataclass
class Series:
    """One line, bar group or step curve of a plot."""

    name: str
    x: list[float]
    y: list[float]


@dataclass
class Plot:
    """A figure. ``kind``: lines, steps (histograms: x are bin edges, one more than y), bars or points."""

    kind: Literal["lines", "steps", "bars", "points"]
    series: list[Series]
    x_label: str
    y_label: str
    note: str = ""
    log_y: bool = False


@dataclass
class Structures:
    """Molecules to turn in 3D: an extxyz file in the run directory; frames in groups of ``labels`` lie side by side."""

    file: str
    labels: list[str]
    note: str = ""
    captions: list[str] = field(default_factory=list)


@dataclass
class Section:
    """One heading of a report with what stands under it."""

    heading: str
    text: str = ""
    tables: list[Table] = field(default_factory=list)
    plots: list[Plot] = field(default_factory=list)
    structures: list[Structures] = field(default_factory=list)


@dataclass
class Results:
    """Scalars for tables and searches, sections for people, and the few figures that belong at the top of a report.

    Attributes:
        scalars: Numbers by name, unrounded.
        sections: What to read.
        headline: Text by what it says ("RMSD after denoising": "-52 %").
    """

    scalars: dict[str, float] = field(default_factory=dict)
    sections: list[Section] = field(default_factory=list)
    headline: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain containers, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Results:
        """The inverse of `to_dict`."""
        sections = [
            Section(
                heading=item["heading"],
                text=item["text"],
                tables=[Table(**table) for table in item["tables"]],
                plots=[Plot(**{**plot, "series": [Series(**one) for one in plot["series"]]}) for plot in item["plots"]],
                structures=[Structures(**one) for one in item["structures"]],
            )
            for item in data["sections"]
        ]
        return cls(scalars=dict(data["scalars"]), sections=sections, headline=dict(data.get("headline", {})))
