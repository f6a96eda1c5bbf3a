"""Writes structures as extended XYZ, which ASE, OVITO and the report read."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import torch

from hydramol.core.batch import Batch
from hydramol.evaluation.bond_rules import symbol


def write_structures(path: Path, structures: Mapping[str, Batch], captions: Sequence[str] = ()) -> None:
    """Writes the same items of several batches side by side: item 0 of each, then item 1 of each, and so on.

    The file appears under its name only when it is whole.

    Args:
        path: The extxyz file.
        structures: Batches of the same length with ``z`` and ``pos`` (Angstrom), by label.
        captions: One line of each item.
    """
    if len({len(batch) for batch in structures.values()}) != 1:
        raise ValueError("structures that lie side by side must be batches of the same length")
    frames = {name: list(_frames(batch)) for name, batch in structures.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with draft.open("w", encoding="utf-8") as file:
            for item in range(len(next(iter(frames.values())))):
                for name, rows in frames.items():
                    caption = f' caption="{_plain(captions[item])}"' if captions else ""
                    file.write(f"{len(rows[item])}\n")
                    file.write(f'Properties=species:S:1:pos:R:3 label="{_plain(name)}"{caption} pbc="F F F"\n')
                    file.writelines(f"{row}\n" for row in rows[item])
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _frames(batch: Batch) -> Iterator[list[str]]:
    """Lines of the atoms of each item."""
    flat = batch.to_layout("flat").to("cpu")
    lines = [
        f"{symbol(number):<2} {x:.5f} {y:.5f} {z:.5f}"
        for number, (x, y, z) in zip(flat["z"].tolist(), flat["pos"].double().tolist(), strict=True)
    ]
    ends = torch.cumsum(flat.sizes["atom"], 0).tolist()
    return (lines[start:end] for start, end in pairwise([0, *ends]))


def _plain(text: str) -> str:
    return text.replace('"', "'").replace("\n", " ")
