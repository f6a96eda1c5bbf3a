"""Where QM9 comes from: the qm9pack wheel, PyG's raw files, a SchNetPack database. Each reader converts units once.

QM9: Ramakrishnan, Dral, Rupp & von Lilienfeld, Sci. Data 1, 140022 (2014). 3,054 of its 133,885 molecules failed the
authors' check that the relaxed structure is still the intended molecule ("uncharacterised").
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import re
from pathlib import Path

import numpy as np

from hydramol.compat.ase_db import read_ase_db
from hydramol.core.errors import DataError
from hydramol.core.units import HARTREE_IN_EV
from hydramol.data.molecule_arrays import MoleculeArrays

N_ALL = 133_885
"""Molecules of QM9 with the uncharacterised ones."""

_SYMBOLS = {"H": 1, "C": 6, "N": 7, "O": 8, "F": 9}
_PYG_FILES = ("gdb9.sdf", "gdb9.sdf.csv", "uncharacterized.txt")


# --- qm9pack --------------------------------------------------------------------------------------------------------


def qm9pack_files() -> list[Path]:
    """The tables inside the installed qm9pack.

    Raises:
        DataError: It is not installed, or is not as expected.
    """
    # Found without importing it: importing needs pkg_resources, which newer setuptools no longer have.
    spec = importlib.util.find_spec("qm9pack")
    if spec is None or not spec.submodule_search_locations:
        raise DataError("QM9 comes from the package qm9pack, which is not installed", where="data.source=qm9pack",
                        fix="pip install 'hydramol[qm]'")  # fmt: skip
    folder = Path(spec.submodule_search_locations[0]) / "data"
    files = sorted(folder.glob("qm9_part*.csv"))
    if not files:
        raise DataError("no tables qm9_part*.csv", where=str(folder), fix="reinstall qm9pack")
    return files


def qm9pack_version() -> str:
    """Version of the installed qm9pack."""
    return importlib.metadata.version("qm9pack")


def read_qm9pack(files: list[Path]) -> MoleculeArrays:
    """Reads qm9pack's tables: 130,831 molecules, the uncharacterised ones already left out.

    Args:
        files: Tables with one molecule a line.
    """
    import pandas as pd

    columns = ["SMILES", "N_atoms", "Elements", "XYZ_Ang", "HOMO_LUMO_gap_au", "InternalEnergy_0K_au"]
    parts = []
    for file in files:
        try:
            table = pd.read_csv(file, usecols=columns, keep_default_na=False, dtype={"SMILES": str})
            n_atoms = table["N_atoms"].to_numpy(np.int64)
            symbols = np.frombuffer(re.sub(r"[^A-Z]", "", "".join(table["Elements"])).encode(), dtype=np.uint8)
            # Small numbers are written in Mathematica's way, 1.2*^-6.
            numbers = ",".join(table["XYZ_Ang"]).translate(str.maketrans("", "", "[]")).replace("*^", "e")
            pos = np.array(numbers.split(","), dtype=np.float64).reshape(-1, 3)
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise DataError(f"cannot be read: {error}", where=str(file), fix="reinstall qm9pack") from error
        if not len(symbols) == len(pos) == n_atoms.sum():
            raise DataError("elements, positions and N_atoms differ in number", where=str(file))
        parts.append(
            MoleculeArrays(
                z=_atomic_numbers(symbols, file),
                pos=pos,
                n_atoms=n_atoms,
                names=table["SMILES"].to_numpy(dtype=str),
                energy=table["InternalEnergy_0K_au"].to_numpy(np.float64) * HARTREE_IN_EV,
                gap=table["HOMO_LUMO_gap_au"].to_numpy(np.float64) * HARTREE_IN_EV,
            )
        )
    return MoleculeArrays.joined(parts)


def _atomic_numbers(symbols: np.ndarray, file: Path) -> np.ndarray:
    table = np.zeros(256, dtype=np.uint8)
    for symbol, number in _SYMBOLS.items():
        table[ord(symbol)] = number
    z: np.ndarray = table[symbols]
    if not z.all():
        unknown = chr(symbols[int(np.flatnonzero(z == 0)[0])])
        raise DataError(f"element {unknown} is not one of {', '.join(_SYMBOLS)}", where=str(file))
    return z


# --- PyG ------------------------------------------------------------------------------------------------------------


def pyg_files(root: Path) -> list[Path]:
    """The raw files of `torch_geometric.datasets.QM9`.

    Raises:
        DataError: One is missing; nothing is downloaded.
    """
    files = [root / "raw" / name for name in _PYG_FILES]
    for file in files:
        if not file.is_file():
            fix = f"put {', '.join(_PYG_FILES)} there; torch_geometric.datasets.QM9({str(root)!r}) fetches them"
            raise DataError("no such file", where=str(file), fix=fix)
    return files


def read_pyg(root: Path) -> MoleculeArrays:
    """Reads QM9 through PyG's own loader, which writes its processed form below ``root`` on its first call.

    Energies are taken from the raw table, because PyG keeps them in float32 (0.001 eV at -11,000 eV).

    Args:
        root: Folder with ``raw/``.
    """
    from torch_geometric.datasets import QM9

    class Offline(QM9):
        def download(self) -> None:
            raise DataError("raw files are missing", where=str(root), fix=f"needed: {', '.join(_PYG_FILES)}")

    files = pyg_files(root)
    try:
        data = Offline(str(root))
        table = np.genfromtxt(files[1], delimiter=",", names=True, ndmin=1)
    except (OSError, ValueError, IndexError, AttributeError, RuntimeError) as error:
        raise DataError(f"PyG cannot read QM9: {error}", where=str(root), fix="are the raw files whole?") from error
    kept = data._data["idx"].numpy()
    if kept.max() >= len(table):
        raise DataError(f"holds {len(table)} lines for {kept.max() + 1} structures", where=str(files[1]))
    return MoleculeArrays(
        z=data._data["z"].numpy().astype(np.uint8),
        pos=data._data["pos"].numpy().astype(np.float64),
        n_atoms=np.diff(data.slices["z"].numpy()),
        names=np.array([_without_hydrogens(smiles) for smiles in data._data["smiles"]]),
        energy=table["u0"][kept] * HARTREE_IN_EV,
        gap=table["gap"][kept] * HARTREE_IN_EV,
    )


def _without_hydrogens(smiles: str) -> str:
    """PyG writes every hydrogen out, [H]O[H]; the other sources do not, O. Kept where RDKit cannot read it."""
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():
        molecule = Chem.MolFromSmiles(smiles)
    return smiles if molecule is None else str(Chem.MolToSmiles(molecule))


# --- SchNetPack -----------------------------------------------------------------------------------------------------


def read_schnetpack(path: Path, remove_uncharacterized: bool) -> MoleculeArrays:
    """Reads a SchNetPack ASE database of QM9.

    Such a database says nothing of which molecules are uncharacterised: one with all 133,885 has them, in the order of
    QM9; a smaller one is taken to be without them, as SchNetPack does.

    Args:
        path: The ``.db`` file; ``uncharacterized.txt`` lies beside it where it holds all of QM9.
        remove_uncharacterized: Leave them out.
    """
    found = read_ase_db(path, energies=("energy_U0", "gap"))
    arrays = MoleculeArrays(
        z=found.z,
        pos=found.pos,
        n_atoms=found.n_atoms,
        names=np.array([f"row {row}" for row in found.rows]),
        energy=found.properties["energy_U0"],
        gap=found.properties["gap"],
    )
    if not remove_uncharacterized or len(found.rows) < N_ALL:
        return arrays
    return arrays.select(~np.isin(found.rows, read_uncharacterized(path.parent / "uncharacterized.txt")))


def read_uncharacterized(file: Path) -> np.ndarray:
    """Numbers, from 1, of the molecules that the authors' list names.

    Raises:
        DataError: The list is missing.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        fix = "it is part of QM9 (figshare file 3195404); or set data.remove_uncharacterized=false"
        raise DataError("the list of uncharacterised molecules is missing", where=str(file), fix=fix) from error
    # Nine lines of heading; then a number and two SMILES a line.
    words = [line.split() for line in lines[9:]]
    return np.array([int(word[0]) for word in words if len(word) > 1 and word[0].isdigit()], dtype=np.int64)
