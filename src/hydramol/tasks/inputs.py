"""What the user hands to a task of `sample.py`: files of structures, and whether the model can deal with them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hydramol.core.batch import Batch
from hydramol.core.errors import ConfigError, DataError
from hydramol.data.flat_molecules import LARGEST_Z
from hydramol.data.structure_files import StructureFile, read_structures
from hydramol.evaluation.bond_rules import symbol

log = logging.getLogger(__name__)

_MOST_LINES = 20
"""Remarks on single structures that are logged; the results hold all."""


@dataclass(frozen=True)
class Inputs:
    """The files named on the command line.

    Attributes:
        input: ``input=<file>``: structures to work on, in any format that ASE reads.
        reference: ``reference=<file>``: what should come out, structure by structure in the same order of atoms.
    """

    input: str | None = None
    reference: str | None = None

    def refuse(self, task: str) -> None:
        """Complains about files that a task would not look at.

        Raises:
            ConfigError: One was named.
        """
        for name in ("input", "reference"):
            if getattr(self, name) is not None:
                raise ConfigError(
                    f"task={task} reads no structures", where=f"{name}={getattr(self, name)}", fix="choose task=relax"
                )


NOTHING = Inputs()


@dataclass(frozen=True)
class Given:
    """Structures that a model can work on.

    Attributes:
        batch: Flat, with ``z``, ``pos`` (Angstrom), ``item`` (number in the file) and, if a reference file was named,
            ``pos_reference``, nan for structures without a reference.
        n_structures: Structures in the file, with those that are left out.
        remarks: One line each on what is left out and what is out of the model's reach.
    """

    batch: Batch
    n_structures: int
    remarks: list[str]


def read_inputs(inputs: Inputs, model: Any) -> Given:
    """Reads the structures, leaves out what the model cannot take, and warns of what it has never seen.

    Args:
        inputs: The files.
        model: Has ``statistics`` of its training data and a ``net``, which may state its largest atomic number.

    Raises:
        ConfigError: No file was named.
        DataError: Nothing in it can be used.
    """
    if inputs.input is None:
        raise ConfigError("task=relax needs structures to relax", where="input", fix="give input=<file>")
    file = read_structures(Path(inputs.input))
    left_out = {number: f"left out: {reason}" for number, reason in file.skipped.items()}
    batch, beyond = _within(file.batch, int(getattr(model.net, "max_z", LARGEST_Z)))
    left_out |= beyond
    if not len(batch):
        raise DataError(f"holds no structure for this model: {next(iter(left_out.values()))}", where=inputs.input)
    single = {int(number): "a single atom, returned as it is" for number in batch["item"][batch.sizes["atom"] == 1]}
    about = left_out | single
    remarks = [f"structure {number}: {about[number]}" for number in sorted(about)]
    remarks += [*file.notes, *_unseen(batch, model.statistics)]
    if inputs.reference is not None:
        batch, of_reference = _with_reference(batch, read_structures(Path(inputs.reference)), file.n_structures)
        remarks += of_reference
    _tell(inputs.input, remarks)
    return Given(batch, file.n_structures, remarks)


def _within(batch: Batch, max_z: int) -> tuple[Batch, dict[int, str]]:
    """The structures whose elements the net has an entry for, and why not for the others."""
    beyond = batch["z"] > max_z
    bad = batch.sum(beyond.to(torch.int64)) > 0
    reasons = {}
    for place in bad.nonzero().flatten().tolist():
        one = batch.select(torch.tensor([place]))
        names = _names(one["z"][one["z"] > max_z])
        reasons[int(one["item"])] = f"left out: {names} is beyond the net's largest atomic number, {max_z}"
    return batch.select(~bad), reasons


def _unseen(batch: Batch, statistics: Any) -> list[str]:
    """What of the structures the training data had nothing alike of."""
    remarks = []
    known = torch.unique(statistics["composition_z"].cpu())
    strange = batch["z"][~torch.isin(batch["z"], known)]
    for element in torch.unique(strange):
        items = batch["item"][batch.sum((batch["z"] == element).to(torch.int64)) > 0]
        remarks.append(
            f"{symbol(int(element))} in {_numbered(items)} is not among the elements that the model was trained on "
            f"({_names(known)}): its results there mean little"
        )
    largest = int(statistics["composition_sizes"].max())
    large = batch.sizes["atom"] > largest
    if large.any():
        remarks.append(
            f"{_numbered(batch['item'][large])} with up to {int(batch.sizes['atom'].max())} atoms: the model was "
            f"trained on at most {largest}"
        )
    return remarks


def _with_reference(batch: Batch, file: StructureFile, n_structures: int) -> tuple[Batch, list[str]]:
    """Adds reference positions where they fit; the others become nan."""
    if file.n_structures != n_structures:
        raise DataError(
            f"{file.n_structures} references for {n_structures} structures",
            where="reference",
            fix="one for each, in the same order",
        )
    places = {int(item): place for place, item in enumerate(file.batch["item"])}
    positions, remarks = [], []
    for place, item in enumerate(batch["item"].tolist()):
        one = batch.select(torch.tensor([place]))
        found = file.batch.select(torch.tensor([places[item]])) if item in places else None
        if found is not None and torch.equal(found["z"], one["z"]):
            positions.append(found["pos"])
            continue
        reason = file.skipped[item] if found is None else "it has other elements, or another order of atoms"
        remarks.append(f"the reference of structure {item} is not used: {reason}")
        positions.append(torch.full_like(one["pos"], torch.nan))
    return batch.with_fields(pos_reference=torch.cat(positions)), remarks


def _tell(where: str, remarks: Sequence[str]) -> None:
    for remark in remarks[:_MOST_LINES]:
        log.warning("%s: %s", where, remark)
    if len(remarks) > _MOST_LINES:
        log.warning("%s: %d more remarks of this kind are in the results", where, len(remarks) - _MOST_LINES)


def _names(elements: Tensor) -> str:
    return ", ".join(symbol(number) for number in torch.unique(elements).tolist())


def _numbered(items: Tensor, most: int = 5) -> str:
    """``structure 3``, ``structures 1, 2``, ``12 structures (0, 3, 4, 7, 8, ...)``."""
    numbers = [str(item) for item in items.tolist()]
    if len(numbers) == 1:
        return f"structure {numbers[0]}"
    if len(numbers) <= most:
        return f"structures {', '.join(numbers)}"
    return f"{len(numbers)} structures ({', '.join(numbers[:most])}, ...)"
