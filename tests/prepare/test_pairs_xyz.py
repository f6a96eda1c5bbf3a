"""Two files that belong together, line by line."""

from __future__ import annotations

from pathlib import Path

import ase.io
import numpy as np
import pytest
import torch

from hydramol.core.errors import DataError
from hydramol.data.molecule_pairs import MoleculePairs
from hydramol.data.thermal_pairs import ThermalPairs
from hydramol.prepare.pairs_xyz import PairsXYZ


@pytest.fixture(scope="module")
def pairs() -> ThermalPairs:
    return ThermalPairs(max_heavy_atoms=4, valid_size=8, test_size=8)


def test_start_and_reference_are_the_pairs_of_the_split(pairs: ThermalPairs, tmp_path: Path) -> None:
    manifest = PairsXYZ(tmp_path, pairs).run()
    start, reference = (ase.io.read(manifest[name], index=":") for name in ("start", "reference"))
    batch = pairs.gather(torch.as_tensor(pairs.splits["test"]))
    assert manifest["n_pairs"] == len(start) == len(reference) == 8
    for name, found in (("pos", start), ("pos_reference", reference)):
        written = np.concatenate([atoms.positions for atoms in found])
        np.testing.assert_allclose(written, batch[name].numpy(), atol=6e-6)
        np.testing.assert_array_equal(np.concatenate([atoms.numbers for atoms in found]), batch["z"].numpy())
    assert start[2].info["caption"] == reference[2].info["caption"] == pairs.names[pairs.splits["test"][2]]


def test_some_are_drawn_by_the_seed(pairs: ThermalPairs, tmp_path: Path) -> None:
    one, again, other = (
        PairsXYZ(tmp_path / str(i), pairs, split="train", n=5, seed=seed).run() for i, seed in enumerate((0, 0, 1))
    )
    assert one["n_pairs"] == 5
    assert one["start_sha256"] == again["start_sha256"] != other["start_sha256"]


def test_wrong_requests_are_one_line(pairs: ThermalPairs, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the test split has 8 pairs, 9 were asked for .data\.n=null"):
        PairsXYZ(tmp_path, pairs, n=9).run()
    minima = MoleculePairs([6], np.zeros((1, 3)), np.array([1]), splits={"test": np.array([0])})  # type: ignore[arg-type]
    with pytest.raises(DataError, match="has minima alone"):
        PairsXYZ(tmp_path, minima).run()
    with pytest.raises(ValueError, match="n must be at least 1"):
        PairsXYZ(tmp_path, pairs, n=0)
    assert not list(tmp_path.iterdir())
