"""Structures of any format, each on its own: what is broken in one place costs nothing elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from ase import Atoms
from ase.build import molecule
from ase.io import write

from hydramol.core.errors import DataError
from hydramol.data.structure_files import read_structures

WATER, METHANOL = molecule("H2O"), molecule("CH3OH")
FRAME = "3\n\nO 0 0 0\nH 0.96 0 0\nH -0.24 0.93 0\n"


@pytest.mark.parametrize("name", ["a.xyz", "a.extxyz", "a.traj"])
def test_all_frames_of_a_file(tmp_path: Path, name: str) -> None:
    write(tmp_path / name, [WATER, METHANOL])
    found = read_structures(tmp_path / name)
    assert found.batch.sizes["atom"].tolist() == [3, 6]
    assert found.batch["item"].tolist() == [0, 1]
    assert found.batch["z"].tolist() == [*WATER.numbers, *METHANOL.numbers]
    expected = np.concatenate([WATER.positions, METHANOL.positions])
    assert np.allclose(found.batch["pos"].numpy(), expected, atol=1e-6)
    assert found.batch["pos"].dtype == torch.float32
    assert (found.skipped, found.notes, found.n_structures) == ({}, [], 2)


def test_all_records_of_an_sdf(tmp_path: Path) -> None:
    for name, atoms in (("a.sdf", WATER), ("b.sdf", METHANOL)):
        write(tmp_path / name, atoms)
    (tmp_path / "ab.sdf").write_text((tmp_path / "a.sdf").read_text() + (tmp_path / "b.sdf").read_text())
    assert read_structures(tmp_path / "ab.sdf").batch.sizes["atom"].tolist() == [3, 6]


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        ("2\n\nO 0 0 0\nQq 1 0 0\n", "Qq is no element (at line 6)"),
        ("2\n\nO 0 0 0\nX 1 0 0\n", "atom 2 is of no known element"),
        ("2\n\nO 0 nan 0\nH 1 0 0\n", "position of atom 1 is not finite"),
        ("2\n\nO 0 0 0\nH 0 0 0.001\n", "atoms 1 and 2 are at the same place"),
        ("2\n\nO 0 0\nH 1 0 0\n", "cannot be read as xyz"),
        ("0\n\n", "has no atoms"),
    ],
)
def test_a_broken_frame_costs_no_other(tmp_path: Path, frame: str, reason: str) -> None:
    path = tmp_path / "a.xyz"
    path.write_text(FRAME + frame + "\n" + FRAME)
    found = read_structures(path)
    assert found.batch["item"].tolist() == [0, 2]
    assert list(found.skipped) == [1]
    assert reason in found.skipped[1]
    assert "\n" not in found.skipped[1]


@pytest.mark.parametrize(("tail", "reason"), [("4\n\nH 0 0 0\n", "the file ends"), ("-2\n\n", "no number of atoms")])
def test_frames_before_a_broken_end_are_read(tmp_path: Path, tail: str, reason: str) -> None:
    path = tmp_path / "a.extxyz"
    path.write_text(FRAME + tail)
    found = read_structures(path)
    assert len(found.batch) == 1
    assert reason in found.skipped[1]


def test_a_comment_that_is_no_list_of_properties(tmp_path: Path) -> None:
    (tmp_path / "a.xyz").write_text(FRAME.replace("\n\n", '\nan "open quote = and more\n'))
    assert len(read_structures(tmp_path / "a.xyz").batch) == 1


@pytest.mark.parametrize(
    ("name", "text", "what"),
    [
        ("none.xyz", None, "there is no such file"),
        ("empty.xyz", "", "the file is empty"),
        ("text.xyz", "hello\nworld\n", "line 1 is no number of atoms"),
        ("text.cif", "hello\n", "cannot be read"),
        ("text.unknown", "hello\n", "cannot be read"),
        ("text.sdf", "hello\n", "cannot be read as sdf"),
    ],
)
def test_nothing_to_read_is_one_line(tmp_path: Path, name: str, text: str | None, what: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=what) as caught:
        read_structures(tmp_path / name)
    assert str(tmp_path / name) in caught.value.line


def test_periodic_boxes_are_noted(tmp_path: Path) -> None:
    boxed = Atoms(WATER.numbers, WATER.positions + 2, cell=[6, 6, 6], pbc=True)
    write(tmp_path / "a.cif", boxed)
    (note,) = read_structures(tmp_path / "a.cif").notes
    assert "structure 0 is in periodic boxes" in note


def test_charges_are_read_where_they_are_stated(tmp_path: Path) -> None:
    charged = WATER.copy()
    charged.info |= {"charge": -1, "multiplicity": 2}
    write(tmp_path / "a.extxyz", [WATER, charged])
    batch = read_structures(tmp_path / "a.extxyz").batch
    assert batch["charge"].tolist() == [0, -1]
    assert batch["multiplicity"].tolist() == [1, 2]
    write(tmp_path / "b.extxyz", [WATER])
    assert "charge" not in read_structures(tmp_path / "b.extxyz").batch
