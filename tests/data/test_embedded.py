"""The molecules that ship with the package are what their manifest and the data page promise."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rdkit import Chem

from hydramol.core.errors import DataError
from hydramol.data import embedded
from hydramol.prepare.molecules.relax import bonds_of, perceive_bonds

ELEMENTS = [1, 6, 7, 8, 9]
QM9_ELEMENT_SHARES = [0.514, 0.350, 0.056, 0.079, 0.001]  # H C N O F, of 2,000 molecules of QM9
QM9_MEAN_ATOMS = 17.3


@pytest.fixture(scope="module")
def molecules() -> dict[str, Any]:
    return embedded.load("molecules")


def each(molecules: dict[str, Any]) -> list[tuple[str, np.ndarray, np.ndarray]]:
    ends = [0, *np.cumsum(molecules["n_atoms"])]
    slices = [slice(first, last) for first, last in pairwise(ends)]
    return [
        (s, molecules["z"][rows], molecules["pos"][rows]) for s, rows in zip(molecules["smiles"], slices, strict=True)
    ]


def test_files_are_small_and_verified() -> None:
    path = embedded.path_of("molecules")
    embedded.verify(path)
    assert path.stat().st_size + path.with_suffix(".json").stat().st_size < 1.5e6


def test_manifest_states_where_the_file_comes_from(molecules: dict[str, Any]) -> None:
    manifest = embedded.manifest_of(embedded.path_of("molecules"))
    assert manifest["command"].startswith("hydramol prepare data=molecules")
    assert {"rdkit", "tblite", "ase", "numpy"} <= manifest["engines"].keys()
    assert manifest["n_molecules"] == len(molecules["n_atoms"])
    assert manifest["n_atoms"] == len(molecules["z"])
    assert manifest["units"]["energy"] == "eV"
    assert manifest["settings"]["fmax"] <= 0.02


def test_at_least_3000_distinct_molecules_of_150_compositions(molecules: dict[str, Any]) -> None:
    graphs = [Chem.MolFromSmiles(smiles) for smiles in molecules["smiles"]]
    assert len({Chem.MolToSmiles(graph) for graph in graphs}) == len(graphs) >= 3000
    assert len({tuple(np.bincount(z, minlength=10)) for _, z, _ in each(molecules)}) >= 150
    assert np.mean([graph.GetRingInfo().NumRings() > 0 for graph in graphs]) >= 0.3
    heavy = np.array([graph.GetNumAtoms() for graph in graphs])
    assert heavy.max() <= 9
    assert (heavy <= 7).sum() >= 1200


def test_elements_and_sizes_resemble_qm9(molecules: dict[str, Any]) -> None:
    assert set(np.unique(molecules["z"])) == set(ELEMENTS)
    shares = np.bincount(molecules["z"], minlength=10)[ELEMENTS] / len(molecules["z"])
    assert np.abs(shares - QM9_ELEMENT_SHARES).max() < 0.02
    assert abs(molecules["n_atoms"].mean() - QM9_MEAN_ATOMS) < 1.5


def test_bond_graph_of_every_structure_is_that_of_its_smiles(molecules: dict[str, Any]) -> None:
    for smiles, z, pos in each(molecules):
        graph = Chem.AddHs(Chem.MolFromSmiles(smiles))
        assert [atom.GetAtomicNum() for atom in graph.GetAtoms()] == z.tolist(), smiles
        assert np.array_equal(perceive_bonds(z, pos), bonds_of(graph)), smiles
        assert np.abs(pos.mean(axis=0)).max() < 5e-4, smiles


def test_structures_are_at_rest(molecules: dict[str, Any]) -> None:
    tblite = pytest.importorskip("tblite.ase")
    from ase import Atoms

    rng = np.random.default_rng(0)
    everything = each(molecules)
    for index in rng.choice(len(everything), size=8, replace=False):
        _, z, pos = everything[index]
        atoms = Atoms(numbers=z, positions=pos, calculator=tblite.TBLite(method="GFN2-xTB", verbosity=0))
        # Rounding to 2.5e-4 Angstrom alone makes some 0.03 eV/Angstrom on stiff bonds.
        assert np.linalg.norm(atoms.get_forces(), axis=1).max() < 0.06
        assert atoms.get_potential_energy() == pytest.approx(molecules["energy"][index], abs=2e-3)


def test_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(DataError, match="molecules"):
        embedded.load("molecule")


def test_damage_is_found_at_loading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in ("molecules.npz", "molecules.json"):
        (tmp_path / file).write_bytes(embedded.path_of("molecules").with_name(file).read_bytes())
    content = bytearray((tmp_path / "molecules.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "molecules.npz").write_bytes(content)
    monkeypatch.setattr(embedded, "_FOLDER", tmp_path)
    with pytest.raises(DataError, match="sha256"):
        embedded.load("molecules")
