"""RDKit validity: real molecules come back as what they are, wrecks do not, and nothing hangs."""

from __future__ import annotations

import math
import time
from itertools import chain

import numpy as np
import pytest
import torch

from hydramol.core.batch import Batch
from hydramol.evaluation.validity import Validity, canonical_smiles, validity

pytest.importorskip("rdkit")

SMILES = [
    "O",
    "CCO",
    "c1ccccc1",
    "C1CC1",
    "CC(=O)N",
    "N#CC",
    "c1ccoc1",
    "C[N+](=O)[O-]",
    "O=C=O",
    "FC(F)F",
    "C1=CC=CN1",
]


def embedded(smiles: list[str]) -> Batch:
    """Structures of RDKit's own making, with hydrogens."""
    from rdkit import Chem
    from rdkit.Chem import AllChem

    numbers, positions = [], []
    for text in smiles:
        mol = Chem.AddHs(Chem.MolFromSmiles(text))
        assert AllChem.EmbedMolecule(mol, randomSeed=7) == 0
        AllChem.MMFFOptimizeMolecule(mol, maxIters=2000)
        numbers.append([atom.GetAtomicNum() for atom in mol.GetAtoms()])
        positions.append(mol.GetConformer().GetPositions())
    fields = {"z": torch.tensor(list(chain.from_iterable(numbers))), "pos": torch.from_numpy(np.concatenate(positions))}
    return Batch(fields, {"atom": torch.tensor([len(one) for one in numbers])})


def test_molecules_give_back_their_smiles():
    found = validity(embedded(SMILES))
    assert found.smiles == [canonical_smiles(text) for text in SMILES]
    assert found.scores() == {"valid": 1.0, "unique": 1.0}


def test_unique_counts_each_molecule_once():
    assert validity(embedded(["CCO", "OCC", "C", "C"])).scores() == {"valid": 1.0, "unique": 0.5}
    assert math.isnan(Validity([]).scores()["valid"])
    assert math.isnan(Validity([None]).scores()["unique"])


def test_mirror_images_are_one_molecule():
    assert canonical_smiles("C[C@H](O)F") == canonical_smiles("C[C@@H](O)F")


def test_broken_structures_are_not_valid():
    ethanol = embedded(["CCO"])
    far = ethanol["pos"].clone()
    far[-1] += 10.0
    radical = Batch({"z": ethanol["z"][:-1], "pos": ethanol["pos"][:-1]}, {"atom": torch.tensor([8])})
    assert validity(ethanol.with_fields(pos=far)).smiles == [None]
    assert validity(ethanol.with_fields(pos=ethanol["pos"] * math.nan)).smiles == [None]
    assert validity(radical).smiles == [None]


def test_clumps_of_atoms_take_bounded_time():
    rng = np.random.default_rng(0)
    carbon_cluster = rng.normal(size=(40, 29, 3)) * np.linspace(0.3, 2.5, 40)[:, None, None]
    z = torch.from_numpy(rng.choice([6, 7, 8, 15, 16], size=(40, 29)))
    batch = Batch({"z": z, "pos": torch.from_numpy(carbon_cluster)}, {"atom": torch.full((40,), 29)}, "padded")
    start = time.perf_counter()
    validity(batch)
    assert time.perf_counter() - start < 20.0


def test_real_molecules_are_the_ceiling(shared_data):
    data = np.load(shared_data / "morered" / "qm9_dev2000.npz", allow_pickle=True)
    z = torch.from_numpy(data["z"][::8].astype(np.int64))
    batch = Batch({"z": z, "pos": torch.from_numpy(data["pos"][::8])}, {"atom": (z > 0).sum(1)}, "padded")
    found = validity(batch)
    deposited = [canonical_smiles(text) for text in data["smiles"][::8]]
    assert found.scores()["valid"] >= 0.98
    assert np.mean([ours == theirs for ours, theirs in zip(found.smiles, deposited, strict=True)]) >= 0.98
