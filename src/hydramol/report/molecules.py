"""Structures of an extxyz file, laid out for the viewer of the report."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ase.data import atomic_numbers, chemical_symbols, covalent_radii
from ase.data.colors import jmol_colors

from hydramol.core.errors import DataError
from hydramol.core.results import Structures

_INFO = re.compile(r'(\w+)=(?:"([^"]*)"|(\S+))')

# Calmer than the usual colours, and dark enough for white paper; other elements take Jmol's.
_COLORS = {
    "H": "#e4e7ea", "C": "#50565e", "N": "#4a74d8", "O": "#dd4f45", "F": "#58b368", "P": "#e2923e", "S": "#dcb83f",
    "Cl": "#43a653", "Br": "#a5533a", "I": "#8450a8", "Si": "#c7a983", "B": "#e0a79b",
}  # fmt: skip


@dataclass
class Cell:
    """One place in a card: a structure, or several over time.

    Attributes:
        label: What it is ("denoised").
        symbols: Element of each atom.
        frames: Positions, frames of ``[[x, y, z], ...]``, Angstrom.
    """

    label: str
    symbols: list[str]
    frames: list[list[list[float]]]


@dataclass
class Card:
    """Structures that lie side by side and turn together."""

    cells: list[Cell]
    caption: str = ""


@dataclass
class _Frame:
    symbols: list[str]
    positions: list[list[float]]
    info: dict[str, str] = field(default_factory=dict)


def read_cards(path: Path, shown: Structures) -> list[Card]:
    """Reads an extxyz file and groups its frames.

    Frames that name ``item`` and ``label`` are grouped by these, equal ones being a trajectory; in other files each
    ``len(labels)`` frames are one card.

    Raises:
        DataError: The file is missing or broken; the line is named.
    """
    frames = _read_frames(path)
    cards: list[Card] = []
    if all("item" in frame.info and "label" in frame.info for frame in frames):
        last: tuple[str, str] | None = None
        for frame in frames:
            here = frame.info["item"], frame.info["label"]
            if last is None or here[0] != last[0]:
                cards.append(Card([], frame.info.get("caption", "")))
            if here == last and frame.symbols == cards[-1].cells[-1].symbols:
                cards[-1].cells[-1].frames.append(frame.positions)
            else:
                cards[-1].cells.append(Cell(frame.info["label"], frame.symbols, [frame.positions]))
            last = here
    else:
        width = max(len(shown.labels), 1)
        for start in range(0, len(frames), width):
            group = frames[start : start + width]
            labels = [*shown.labels, *[""] * width]
            cells = [Cell(label, one.symbols, [one.positions]) for label, one in zip(labels, group, strict=False)]
            cards.append(Card(cells, group[0].info.get("caption", "")))
    for card, caption in zip(cards, shown.captions, strict=False):
        card.caption = caption
    return cards


def scene(cards: list[Card]) -> dict[str, Any]:
    """What the viewer needs to draw some cards: plain containers, positions to a thousandth of an Angstrom."""
    symbols = sorted({symbol for card in cards for cell in card.cells for symbol in cell.symbols}, key=_number)
    places = {symbol: place for place, symbol in enumerate(symbols)}
    return {
        "elements": [
            {"symbol": symbol, "radius": round(float(covalent_radii[_number(symbol)]), 2), "color": color(symbol)}
            for symbol in symbols
        ],
        "cards": [
            {
                "caption": card.caption,
                "cells": [
                    {
                        "label": cell.label,
                        "z": [places[symbol] for symbol in cell.symbols],
                        "frames": [[round(x, 3) for position in frame for x in position] for frame in cell.frames],
                    }
                    for cell in card.cells
                ],
            }
            for card in cards
        ],
    }


def color(symbol: str) -> str:
    """Colour of an element, ``#rrggbb``."""
    if symbol in _COLORS:
        return _COLORS[symbol]
    number = min(_number(symbol), len(jmol_colors) - 1)
    return "#" + "".join(f"{round(255 * float(part)):02x}" for part in jmol_colors[number])


def _number(symbol: str) -> int:
    return int(atomic_numbers[symbol])


def _read_frames(path: Path) -> list[_Frame]:
    """Frames of an extxyz file whose lines begin with element and position, as ours and ASE's do."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"could not be read ({error})", where=str(path)) from None
    frames, at = [], 0
    while at < len(lines):
        if not lines[at].strip():
            at += 1
            continue
        try:
            n_atoms = int(lines[at])
            rows = [line.split() for line in lines[at + 2 : at + 2 + n_atoms]]
            symbols = [row[0] for row in rows]
            positions = [[float(value) for value in row[1:4]] for row in rows]
            whole = len(rows) == n_atoms and all(len(position) == 3 for position in positions)
            if not whole or not set(symbols) <= set(chemical_symbols):
                raise ValueError
        except (ValueError, IndexError):
            raise DataError(f"is no extxyz file (the frame at line {at + 1})", where=str(path)) from None
        comment = lines[at + 1]
        frames.append(
            _Frame(symbols, positions, {key: quoted or plain for key, quoted, plain in _INFO.findall(comment)})
        )
        at += 2 + n_atoms
    return frames
