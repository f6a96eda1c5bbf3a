"""Writes structures as extended XYZ, which ASE, OVITO and the report read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import torch

from hydramol.core.batch import Batch
from hydramol.core.files import writing
from hydramol.evaluation.bond_rules import symbol


def write_structures(
    path: Path, structures: Mapping[str, Batch | Sequence[Batch]], captions: Sequence[str] = ()
) -> None:
    """Writes the same items of several batches side by side: item 0 of each, then item 1 of each, and so on.

    Every frame names its ``item`` and ``label``; frames that share both are a trajectory.

    Args:
        path: The extxyz file.
        structures: By label, batches of the same length with ``z`` and ``pos`` (Angstrom), or several of these in time.
        captions: One line of each item.
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
            for label, steps in frames.items():
                info = f'item={item} label="{_plain(label)}"{caption} pbc="F F F"'
                for molecules in steps:
                    file.write(f"{len(molecules[item])}\nProperties=species:S:1:pos:R:3 {info}\n")
                    file.writelines(molecules[item])


def _molecules(batch: Batch) -> Iterator[list[str]]:
    """Lines of the atoms of each item."""
    flat = batch.to_layout("flat").to("cpu")
    lines = [
        f"{symbol(number):<2} {x:.5f} {y:.5f} {z:.5f}\n"
        for number, (x, y, z) in zip(flat["z"].tolist(), flat["pos"].double().tolist(), strict=True)
    ]
    ends = torch.cumsum(flat.sizes["atom"], 0).tolist()
    return (lines[start:end] for start, end in pairwise([0, *ends]))


def _plain(text: str) -> str:
    return text.replace('"', "'").replace("\n", " ")
