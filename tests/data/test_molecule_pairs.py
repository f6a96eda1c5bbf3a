"""Displaced structures and their minima: they move together, are shaken as stated, and are split by molecule."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from hydramol.core.batch import Batch
from hydramol.core.errors import ConfigError, DataError
from hydramol.core.randomness import Randomness
from hydramol.data import embedded
from hydramol.data.embedded_molecules import EmbeddedMolecules
from hydramol.data.md_pairs import MDPairs
from hydramol.data.molecule_pairs import MoleculePairs
from hydramol.data.thermal_pairs import BOLTZMANN_IN_EV, ThermalPairs, amplitude
from hydramol.data.transforms import Center, Flip, Pad, Rotate, apply_transforms

RANDOM = Randomness(3, "train/augment")
SMALL = {"max_heavy_atoms": 4}


@pytest.fixture(scope="module")
def thermal() -> ThermalPairs:
    return ThermalPairs(temperatures=[300.0, 600.0], frames=3, **SMALL)


def everything(data: MoleculePairs) -> Batch:
    return data.gather(torch.arange(len(data)))


# --- transforms -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["flat", "padded"])
def test_both_structures_move_together(thermal: ThermalPairs, layout: str) -> None:
    batch = thermal.gather(torch.tensor([0, 5, 11, 40])).to_layout(layout)  # type: ignore[arg-type]
    transforms = {"center": Center(), "rotate": Rotate(), "flip": Flip(1.0)}
    moved = apply_transforms(batch, transforms, RANDOM).to_layout("flat")
    before, after = (_all_distances(one.to_layout("flat")) for one in (batch, moved))
    torch.testing.assert_close(after, before, rtol=0, atol=2e-5)
    assert not torch.allclose(moved["pos_reference"], batch.to_layout("flat")["pos_reference"], atol=0.1)
    centred = Center()(batch, RANDOM)
    torch.testing.assert_close(centred.mean(centred["pos"]), torch.zeros(4, 3), rtol=0, atol=1e-6)
    shift = centred["pos"] - batch["pos"]
    torch.testing.assert_close(centred["pos_reference"] - batch["pos_reference"], shift, rtol=0, atol=2e-6)


def _all_distances(flat: Batch) -> Tensor:
    """Distances within and between the two structures of each item."""
    found = []
    for item in range(len(flat)):
        one = flat.select(torch.tensor([item]))
        points = torch.cat([one["pos"], one["pos_reference"]]).double()
        found.append((points[:, None] - points).square().sum(-1).sqrt().flatten())
    return torch.cat(found)


def test_padding_is_zero_and_comes_off_again(thermal: ThermalPairs) -> None:
    batch = thermal.gather(torch.tensor([3, 30, 7]))
    padded = Pad(multiple_of=8)(batch, RANDOM)
    assert padded["pos_reference"].shape == padded["pos"].shape
    assert not padded["pos_reference"][~padded.mask()].any()
    assert torch.equal(padded.to_layout("flat")["pos_reference"], batch["pos_reference"])


def test_a_minimum_of_another_shape_is_refused() -> None:
    arguments = {"z": np.ones(3), "pos": np.zeros((3, 3)), "n_atoms": np.array([3]), "splits": {"train": np.array([0])}}
    with pytest.raises(DataError, match="pos_reference has shape"):
        MoleculePairs(**arguments, pos_reference=np.zeros((2, 3)))
    with pytest.raises(DataError, match="pos_reference is not finite"):
        MoleculePairs(**arguments, pos_reference=np.full((3, 3), np.inf))


# --- thermal displacements ------------------------------------------------------------------------------------------


def test_minima_are_the_embedded_molecules(thermal: ThermalPairs) -> None:
    plain = EmbeddedMolecules(**SMALL)
    batch, minima = everything(thermal), plain.gather(torch.arange(len(plain)))
    assert len(thermal) == 6 * len(plain)
    assert torch.equal(batch["pos_reference"], minima["pos"].repeat(6, 1))
    assert torch.equal(batch["z"], minima["z"].repeat(6))
    assert list(thermal.names[: len(plain)]) == list(plain.names)


def test_the_split_is_that_of_the_embedded_molecules(thermal: ThermalPairs) -> None:
    plain = EmbeddedMolecules(**SMALL)
    for side, items in thermal.splits.items():
        expected = {str(plain.names[item]) for item in plain.splits[side]}
        assert {str(thermal.names[item]) for item in items} == expected
        assert len(items) == 6 * len(expected)


def test_displacements_are_those_of_the_formula() -> None:
    """Gaussian, independent, of variance kB T / (m omega^2) in every coordinate, element by element."""
    data = ThermalPairs(temperatures=[300.0, 600.0], frames=2, wavenumber=800.0, max_heavy_atoms=6)
    batch = everything(data)
    shift = (batch["pos"] - batch["pos_reference"]).double()
    temperature = torch.as_tensor(data.temperature)[batch.index()]
    omega = 2 * np.pi * 800.0 * 2.99792458e-5  # 1/fs
    for z, mass in ((1, 1.008), (6, 12.011), (8, 15.999)):
        for kelvin in (300.0, 600.0):
            found = shift[(batch["z"] == z) & (temperature == kelvin)]
            variance = 8.617333262e-5 * kelvin / (mass * 103.642696 * omega**2)
            assert len(found) > 300
            n = found.numel()
            assert abs(float(found.square().mean()) / variance - 1) < 5 * np.sqrt(2 / n)
            assert abs(float(found.mean())) < 5 * np.sqrt(variance / n)
            kurtosis = float((found**4).mean()) / variance**2
            assert abs(kurtosis - 3) < 5 * np.sqrt(96 / n)


def test_amplitude_follows_equipartition() -> None:
    """Half k x^2 holds half kB T."""
    sigma = amplitude(torch.tensor([1, 6]), 300.0, 1000.0)
    omega = 2 * np.pi * 1000.0 * 2.99792458e-5
    stiffness = torch.tensor([1.008, 12.011], dtype=torch.float64) * 103.642696 * omega**2
    torch.testing.assert_close(stiffness * sigma**2, torch.full((2,), BOLTZMANN_IN_EV * 300.0, dtype=torch.float64))


def test_displacements_depend_on_seed_molecule_and_frame_alone(thermal: ThermalPairs) -> None:
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    again = ThermalPairs(temperatures=[300.0, 600.0], frames=3, **SMALL)
    assert torch.equal(everything(again)["pos"], everything(thermal)["pos"])
    other = ThermalPairs(temperatures=[300.0, 600.0], frames=3, seed=1, **SMALL)
    assert not torch.allclose(everything(other)["pos"], everything(thermal)["pos"], atol=1e-2)
    # The same molecules among more of them, and the same frames among fewer.
    more = ThermalPairs(temperatures=[300.0], max_heavy_atoms=5)
    place = {molecule: item for item, molecule in enumerate(more.molecule.tolist())}
    n = len(thermal) // 6
    same = more.gather(torch.tensor([place[one] for one in thermal.molecule[:n].tolist()]))
    assert torch.equal(same["pos"], thermal.gather(torch.arange(n))["pos"])
    frames = everything(thermal)["pos"].reshape(6, -1, 3)
    assert not torch.allclose(frames[0], frames[1], atol=1e-2)


@pytest.mark.parametrize("wrong", [{"temperatures": []}, {"temperatures": [0.0]}, {"frames": 0}, {"wavenumber": 0.0}])
def test_wrong_numbers_are_one_line(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="cannot displace molecules with"):
        ThermalPairs(**wrong)


# --- molecular dynamics ---------------------------------------------------------------------------------------------


@pytest.fixture
def md_root(tmp_path: Path) -> Callable[..., Path]:
    """Writes a file of frames of the first molecules, two frames each, as the builder does."""

    def write(n_molecules: int = 200, **changes: object) -> Path:
        raw = embedded.load("molecules")
        n_atoms = raw["n_atoms"][:n_molecules]
        rows = int(n_atoms.sum())
        pos = np.concatenate([raw["pos"][:rows]] * 2).astype(np.float32)
        arrays = {
            "molecule": np.tile(np.arange(n_molecules), 2),
            "frame": np.repeat([0, 1], n_molecules),
            "n_atoms": np.tile(n_atoms, 2),
            "energy": np.arange(2.0 * n_molecules),
            "energy_reference": np.zeros(2 * n_molecules),
            "z": np.tile(raw["z"][:rows], 2),
            "pos": pos + 0.1,
            "pos_reference": pos,
        }
        np.savez(tmp_path / "molecules_md.npz", **arrays)
        about = {
            "source": "molecules",
            "source_sha256": embedded.manifest_of(embedded.path_of("molecules"))["sha256"],
            "sha256": hashlib.sha256((tmp_path / "molecules_md.npz").read_bytes()).hexdigest(),
        }
        (tmp_path / "molecules_md.json").write_text(json.dumps({**about, **changes}))
        return tmp_path

    return write


def test_frames_are_read_with_the_split_of_the_embedded_molecules(md_root: Callable[..., Path]) -> None:
    data = MDPairs(str(md_root()), max_heavy_atoms=7)
    plain = EmbeddedMolecules(max_heavy_atoms=7)
    for side, items in data.splits.items():
        assert len(items) > 0
        assert {str(data.names[item]) for item in items} <= {str(plain.names[item]) for item in plain.splits[side]}
    batch = everything(data)
    torch.testing.assert_close(batch["pos"] - batch["pos_reference"], torch.full_like(batch["pos"], 0.1))
    assert int(batch.sum((batch["z"] > 1).long()).max()) == 7
    assert batch["energy"].dtype == torch.float64
    names = embedded.load("molecules")["smiles"]
    assert [names[one] for one in data.molecule.tolist()] == list(data.names)


def test_files_that_do_not_fit_are_one_line(md_root: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no such file \(hydramol prepare data=molecules_md writes it\)"):
        MDPairs(str(tmp_path))
    with pytest.raises(DataError, match="was made from another version of the embedded data 'molecules'"):
        MDPairs(str(md_root(source_sha256="0")))
    with pytest.raises(DataError, match="sha256 is"):
        MDPairs(str(md_root(sha256="0")))
    with pytest.raises(DataError, match=r"has no frames of the (val|test) molecules: it holds 2 molecules"):
        MDPairs(str(md_root(n_molecules=2)))
