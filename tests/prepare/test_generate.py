"""Drawn molecules: valences, rules, repeatability."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem
from rdkit.Chem import rdMolDescriptors

from hydramol.prepare.molecules.generate import REFUSED, VALENCE, draw_bonds, draw_smiles, refusal, to_smiles

EXAMPLES = {
    "cumulated double bonds": "C=C=C",
    "a triple bond in a ring": "C1CCC#CCC1",
    "a double bond in a three-ring": "C1C=C1",
    "a double bond on a three-ring": "C=C1CC1",
    "a cyclobutadiene": "C1=CC=C1",
    "two three-rings on one bond": "C1C2CC12",
    "three heteroatoms in a row": "CN=NN",
    "a single bond of heteroatoms outside oximes and hydrazones": "COOC",
    "a heteroatom on a heteroatom of an aromatic ring": "On1cccc1",
    "fluorine on a heteroatom": "CNF",
    "an azo or nitroso group": "CN=NC",
    "a hemiacetal or aminal with a hydrogen to lose": "COCO",
    "three heteroatoms on a carbon": "COC(OC)OC",
    "an enol or a primary enamine": "C=CO",
    "an imidic acid": "CC(=N)O",
    "an ynol or ynamine": "C#CO",
    "a carbonic or carbamic acid": "NC(=O)O",
    "an acyl or imidoyl fluoride": "CC(=O)F",
}
BRIDGED = "C1CC2=CC1C2"
FINE = [
    "c1ccccc1",
    "CC=NO",
    "CC=NN",
    "c1nnc[nH]1",
    "c1c[nH]cn1",
    "CC(F)(F)F",
    "C1CC2CCC1C2",
    "C1CC1",
    "CC(=O)N",
    "C#N",
    "C1=CC2CCC1C2",
]


def first(seed: int, n: int, max_heavy_atoms: int = 9) -> list[str]:
    return list(islice(draw_smiles(seed, max_heavy_atoms), n))


def test_every_rule_has_an_example_it_refuses() -> None:
    assert EXAMPLES.keys() == REFUSED.keys()


@pytest.mark.parametrize("name", EXAMPLES)
def test_rule_refuses_its_example(name: str) -> None:
    molecule = Chem.MolFromSmiles(EXAMPLES[name])
    assert molecule.HasSubstructMatch(Chem.MolFromSmarts(REFUSED[name]))
    assert refusal(molecule) is not None


def test_double_bond_at_a_bridgehead_is_refused() -> None:
    assert "Bredt" in str(refusal(Chem.MolFromSmiles(BRIDGED)))


@pytest.mark.parametrize("smiles", FINE)
def test_ordinary_molecules_pass(smiles: str) -> None:
    assert refusal(Chem.MolFromSmiles(smiles)) is None


@given(seed=st.integers(0, 2**32), n=st.integers(1, 9))
@settings(deadline=None, max_examples=60)
def test_drawn_graphs_are_connected_and_keep_valences(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    elements = ["C", *rng.choice(["C", "N", "O", "F"], size=n - 1)]
    orders = draw_bonds(elements, rng)
    if orders is None:
        return
    assert np.array_equal(orders, orders.T)
    assert not orders.diagonal().any()
    assert (orders.sum(axis=0) <= [VALENCE[element] for element in elements]).all()
    reached = np.linalg.matrix_power((orders > 0) + np.eye(n, dtype=np.int64), n)[0] > 0
    assert reached.all()


def test_graph_becomes_its_smiles() -> None:
    orders = np.array([[0, 1, 0], [1, 0, 2], [0, 2, 0]])
    assert to_smiles(["C", "C", "O"], orders) == "CC=O"
    assert to_smiles(["C", "C"], np.array([[0, 4], [4, 0]])) is None


def test_drawn_molecules_are_distinct_neutral_closed_shells_within_the_rules() -> None:
    drawn = first(3, 80)
    assert len(set(drawn)) == len(drawn)
    for smiles in drawn:
        molecule = Chem.MolFromSmiles(smiles)
        assert Chem.MolToSmiles(molecule) == smiles
        assert Chem.GetFormalCharge(molecule) == 0
        assert not any(atom.GetNumRadicalElectrons() or atom.GetFormalCharge() for atom in molecule.GetAtoms())
        assert molecule.GetNumAtoms() <= 9
        assert refusal(molecule) is None
        assert "." not in smiles


def test_rings_and_elements_are_mixed() -> None:
    drawn = [Chem.MolFromSmiles(smiles) for smiles in first(1, 150)]
    assert np.mean([molecule.GetRingInfo().NumRings() > 0 for molecule in drawn]) > 0.5
    assert len({rdMolDescriptors.CalcMolFormula(molecule) for molecule in drawn}) > 60
    for element in "NO":
        assert 0.4 < np.mean([any(atom.GetSymbol() == element for atom in one.GetAtoms()) for one in drawn]) < 0.9


def test_same_seed_same_molecules() -> None:
    assert first(5, 40) == first(5, 40)
    assert first(5, 40) != first(6, 40)


def test_all_molecules_of_two_heavy_atoms_are_found() -> None:
    alone = {"C"}
    pairs = {"CC", "C=C", "C#C", "CN", "C=N", "C#N", "CO", "C=O", "CF"}
    assert set(first(0, 10, max_heavy_atoms=2)) == alone | pairs


def test_sizes_beyond_the_weights_are_refused() -> None:
    with pytest.raises(ValueError, match="max_heavy_atoms"):
        first(0, 1, max_heavy_atoms=10)
