"""Extended XYZ files: read back by ASE."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hydramol.evaluation.structures import write_structures
from tests.conftest import random_molecules


def test_ase_reads_frames_side_by_side(tmp_path):
    from ase.io import read

    batch = random_molecules([4, 7], dtype=torch.float64)
    shifted = batch.with_fields(pos=batch["pos"] + 1.0).to_layout("padded")
    path = tmp_path / "deep" / "shown.extxyz"
    write_structures(path, {"real": batch, "shifted": shifted}, captions=['the "first"', "second"])
    frames = read(path, index=":")
    assert [len(frame) for frame in frames] == [4, 4, 7, 7]
    assert [frame.info["label"] for frame in frames] == ["real", "shifted"] * 2
    assert frames[0].info["caption"] == "the 'first'"
    assert frames[0].numbers.tolist() == batch["z"][:4].tolist()
    assert np.allclose(frames[3].positions, batch["pos"][4:] + 1.0, atol=1e-5)
    assert [file.name for file in path.parent.iterdir()] == ["shown.extxyz"]


def test_trajectories_are_frames_of_one_item_and_label(tmp_path):
    from ase.io import read

    batch = random_molecules([4, 7])
    later = batch.with_fields(pos=batch["pos"] + 1.0)
    write_structures(tmp_path / "t.extxyz", {"path": [batch, later], "real": batch})
    frames = read(tmp_path / "t.extxyz", index=":")
    assert [(f.info["item"], f.info["label"]) for f in frames] == [
        (0, "path"), (0, "path"), (0, "real"), (1, "path"), (1, "path"), (1, "real"),
    ]  # fmt: skip


def test_batches_of_different_length(tmp_path):
    with pytest.raises(ValueError, match="same length"):
        write_structures(tmp_path / "x.extxyz", {"a": random_molecules([3]), "b": random_molecules([3, 4])})
    assert list(tmp_path.iterdir()) == []


def test_what_is_said_of_each_item(tmp_path):
    from ase.io import read

    info = [{"steps": 3, "converged": True, "far": 0.25, "why": 'a "word"'}, {"steps": 5, "far": float("nan")}]
    write_structures(tmp_path / "t.extxyz", {"real": random_molecules([4, 7])}, info=info)
    one, other = read(tmp_path / "t.extxyz", index=":")
    assert (one.info["steps"], one.info["converged"], one.info["far"]) == (3, True, 0.25)
    assert one.info["why"] == "a 'word'"
    assert other.info["steps"] == 5
    assert "far" not in other.info


def test_a_molecule_that_stands_still_at_the_end_is_written_once(tmp_path):
    from ase.io import read

    batch = random_molecules([4, 7])
    moved = batch.with_fields(pos=batch["pos"] + batch.spread(torch.tensor([0.0, 1.0]))[:, None])
    write_structures(tmp_path / "t.extxyz", {"path": [batch, moved, batch, batch]})
    frames = read(tmp_path / "t.extxyz", index=":")
    assert [len(frame) for frame in frames] == [4, 7, 7, 7]
