"""Writes structures as extended XYZ, which ASE, OVITO and the report read."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import torch

from hydramol.core.batch import Batch
from hydramol.core.files import writing
from hydramol.evaluation.bond_rules import symbol

Value = str | bool | int | float


def write_structures(
    path: Path,
    structures: Mapping[str, Batch | Sequence[Batch]],
    captions: Sequence[str] = (),
    info: Sequence[Mapping[str, Value]] = (),
) -> None:
    """Writes the same items of several batches side by side: item 0 of each, then item 1 of each, and so on.

    Every frame names its ``item`` and ``label``; frames that share both are a trajectory. Of a molecule that stands
    still at the end of its trajectory, the last frame is written once.

    Args:
        path: The extxyz file.
        structures: By label, batches of the same length with ``z`` and ``pos`` (Angstrom), or several of these in time.
        captions: One line of each item.
        info: More about each item, by name; numbers that are not finite are left out.
    """
    frames = {
        label: [list(_molecules(one)) for one in ([found] if isinstance(found, Batch) else found)]
        for label, found in structures.items()
    }
    n_items = {len(molecules) for steps in frames.values() for molecules in steps}
    if len(n_items) != 1:
        raise ValueError("structures that lie side by side must be batches of the same length")
    with writing(path) as draft, draft.open("w", encoding="utf-8") as file:
        for item in range(n_items.pop()):
            caption = f' caption="{_plain(captions[item])}"' if captions else ""
            more = "".join(f" {name}={_shown(value)}" for name, value in _known(info[item] if info else {}))
            for label, steps in frames.items():
                said = f'item={item} label="{_plain(label)}"{caption}{more} pbc="F F F"'
                for molecule in _moving([molecules[item] for molecules in steps]):
                    file.write(f"{len(molecule)}\nProperties=species:S:1:pos:R:3 {said}\n")
                    file.writelines(molecule)


def _molecules(batch: Batch) -> Iterator[list[str]]:
    """Lines of the atoms of each item."""
    flat = batch.to_layout("flat").to("cpu")
    lines = [
        f"{symbol(number):<2} {x:.5f} {y:.5f} {z:.5f}\n"
        for number, (x, y, z) in zip(flat["z"].tolist(), flat["pos"].double().tolist(), strict=True)
    ]
    ends = torch.cumsum(flat.sizes["atom"], 0).tolist()
    return (lines[start:end] for start, end in pairwise([0, *ends]))


def _moving(frames: list[list[str]]) -> list[list[str]]:
    """Frames up to the first of those at the end that are all alike."""
    end = len(frames)
    while end > 1 and frames[end - 2] == frames[-1]:
        end -= 1
    return frames[:end]


def _known(info: Mapping[str, Value]) -> Iterator[tuple[str, Value]]:
    return ((name, value) for name, value in info.items() if not isinstance(value, float) or math.isfinite(value))


def _shown(value: Value) -> str:
    """A value as extended XYZ writes it."""
    if isinstance(value, bool):
        return "T" if value else "F"
    return (
        f'"{_plain(value)}"' if isinstance(value, str) else f"{value:.7g}" if isinstance(value, float) else str(value)
    )


def _plain(text: str) -> str:
    return text.replace('"', "'").replace("\n", " ")
