"""Joining samples of any data set into one flat batch, as the key table says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hydramol.core.batch import Batch
from hydramol.core.errors import DataError
from hydramol.core.keys import KEYS, key_of

if TYPE_CHECKING:
    from torch_geometric.data import Data


def collate(samples: Sequence[Data], keys: Iterable[str] | None = None) -> Batch:
    """Joins PyG samples into a flat batch.

    Args:
        samples: At least one; all with the same fields.
        keys: Fields to take; by default all that the samples carry.

    Raises:
        DataError: A field is not in the key table, is missing in a sample, or does not fit the other fields.
    """
    if not samples:
        raise DataError("no samples to join", where="collate")
    dicts = [sample.to_dict() for sample in samples]
    names = list(keys) if keys is not None else [name for name in dicts[0] if name != "num_nodes"]
    unknown = [name for name in names if name not in KEYS]
    if unknown:
        raise DataError(
            f"field {unknown[0]!r} is not in the key table",
            where="collate",
            fix="add a line for it in hydramol.core.keys.KEYS, or name the keys to take",
        )
    fields: dict[str, Tensor] = {}
    sizes: dict[str, Tensor] = {}
    for name in names:
        values = [_value(name, fields_of, item) for item, fields_of in enumerate(dicts)]
        axis = key_of(name).axis
        if axis != "graph":
            lengths = torch.tensor([len(value) for value in values])
            if not torch.equal(sizes.setdefault(axis, lengths), lengths):
                item = int((sizes[axis] != lengths).nonzero()[0])
                raise DataError(
                    f"{name} of sample {item} has {int(lengths[item])} rows, other fields of axis {axis!r} have "
                    f"{int(sizes[axis][item])}",
                    where="collate",
                )
        fields[name] = torch.cat(values)
    if not sizes:
        raise DataError(f"no field with rows among {', '.join(names)}", where="collate")
    return Batch(fields, sizes)


def _value(name: str, fields_of: dict[str, object], item: int) -> Tensor:
    """A field of one sample with its leading axis; a number of the whole item becomes ``[1]``."""
    if fields_of.get(name) is None:
        raise DataError(f"sample {item} has no {name}", where="collate")
    value = torch.as_tensor(fields_of[name])
    axes = key_of(name).axes
    if value.dim() == len(axes) - 1 and axes[0] == "graph":
        value = value[None]
    fixed = tuple(axis for axis in axes[1:] if isinstance(axis, int))
    if value.dim() != len(axes) or (len(fixed) == len(axes) - 1 and tuple(value.shape[1:]) != fixed):
        raise DataError(f"{name} of sample {item} has shape {tuple(value.shape)}, not {list(axes)}", where="collate")
    return value
