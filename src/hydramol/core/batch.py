"""One batch class for every system: named fields, sizes per axis, and two layouts that can be exchanged.

Flat: the rows of all items are joined, ``pos: [sum of atoms, 3]``. Padded: ``pos: [items, most atoms, 3]``, with
``mask`` True on real rows. Padding changes no result and no gradient of real rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from hydramol.core.keys import key_of

Layout = Literal["flat", "padded"]


@dataclass(frozen=True)
class Batch:
    """Several items of a data set.

    Attributes:
        fields: Tensors by key name (see `hydramol.core.keys`); graph fields are ``[items, ...]`` in both layouts.
        sizes: Rows of each item by axis, ``sizes["atom"]: [items]`` int64.
        layout: "flat" or "padded".
        key: (epoch, number of the batch in the epoch), the source of a step's randomness.
        dense: A padded batch that is known to have no padded row, so that nets may do without a mask. `to_layout` finds
            it while it lays rows out, where sizes are at hand; False means only that it is not known.
    """

    fields: Mapping[str, Tensor]
    sizes: Mapping[str, Tensor]
    layout: Layout = "flat"
    key: tuple[int, int] = (0, 0)
    dense: bool = False

    def __getitem__(self, name: str) -> Tensor:
        return self.fields[name]

    def __contains__(self, name: str) -> bool:
        return name in self.fields

    def __len__(self) -> int:
        return int(next(iter(self.sizes.values())).shape[0])

    @property
    def device(self) -> torch.device:
        """Where the tensors live."""
        return next(iter(self.sizes.values())).device

    def n_rows(self, axis: str = "atom") -> int:
        """Real rows of an axis over all items."""
        return int(self.sizes[axis].sum())

    # --- views of the structure ---------------------------------------------------------------------------------

    def mask(self, axis: str = "atom") -> Tensor:
        """True on real rows: ``[rows]`` (flat, all True) or ``[items, most rows]`` (padded)."""
        sizes = self.sizes[axis]
        if self.layout == "flat":
            return torch.ones(int(sizes.sum()), dtype=torch.bool, device=sizes.device)
        return torch.arange(self._width(axis), device=sizes.device) < sizes[:, None]

    def index(self, axis: str = "atom") -> Tensor:
        """Item of each row: ``[rows]`` (flat) or ``[items, most rows]`` (padded)."""
        sizes = self.sizes[axis]
        items = torch.arange(len(sizes), device=sizes.device)
        if self.layout == "flat":
            return torch.repeat_interleave(items, sizes)
        return items[:, None].expand(len(sizes), self._width(axis))

    def position(self, axis: str = "atom") -> Tensor:
        """Place of each row inside its item, same shape as `index`."""
        sizes = self.sizes[axis]
        if self.layout == "padded":
            return torch.arange(self._width(axis), device=sizes.device).expand(len(sizes), -1)
        first = torch.cumsum(sizes, 0) - sizes
        return torch.arange(int(sizes.sum()), device=sizes.device) - torch.repeat_interleave(first, sizes)

    def _width(self, axis: str) -> int:
        """Padded length of an axis: that of the fields, which may exceed the longest item."""
        for name, value in self.fields.items():
            if key_of(name).axis == axis:
                return int(value.shape[1])
        return int(self.sizes[axis].max()) if len(self) else 0

    # --- arithmetic that does not care about the layout ----------------------------------------------------------

    def sum(self, rows: Tensor, axis: str = "atom") -> Tensor:
        """Sums rows over each item: ``[items, ...]``."""
        if self.layout == "padded":
            return (rows * _trail(self.mask(axis), rows)).sum(1)
        out = rows.new_zeros((len(self), *rows.shape[1:]))
        return out.index_add(0, self.index(axis), rows)

    def mean(self, rows: Tensor, axis: str = "atom") -> Tensor:
        """Averages rows over each item: ``[items, ...]``."""
        total = self.sum(rows, axis)
        return total / _trail(self.sizes[axis].clamp(min=1), total)

    def spread(self, values: Tensor, axis: str = "atom") -> Tensor:
        """Gives every row the value of its item: ``[items, ...] -> [rows, ...]`` or ``[items, most rows, ...]``."""
        if self.layout == "flat":
            return values[self.index(axis)]
        return values[:, None].expand(len(self), self._width(axis), *values.shape[1:])

    # --- changes, which keep every other field -------------------------------------------------------------------

    def with_fields(self, **fields: Tensor) -> Batch:
        """The same batch with some fields replaced or added."""
        return replace(self, fields={**self.fields, **fields})

    def without(self, *names: str) -> Batch:
        """The same batch without some fields."""
        return replace(self, fields={name: value for name, value in self.fields.items() if name not in names})

    def select(self, items: Tensor) -> Batch:
        """Some items, in the order asked for.

        Args:
            items: Indices ``[k]`` or a boolean mask ``[items]``.
        """
        items = items.nonzero().flatten() if items.dtype == torch.bool else items
        sizes = {axis: size[items] for axis, size in self.sizes.items()}
        fields = {}
        for name, value in self.fields.items():
            axis = key_of(name).axis
            per_item = axis == "graph" or self.layout == "padded"
            fields[name] = value[items] if per_item else value[self._rows_of(items, axis)]
        return replace(self, fields=fields, sizes=sizes)

    def _rows_of(self, items: Tensor, axis: str) -> Tensor:
        sizes = self.sizes[axis]
        first = (torch.cumsum(sizes, 0) - sizes)[items]
        chosen = sizes[items]
        start = torch.cumsum(chosen, 0) - chosen
        offset = torch.arange(int(chosen.sum()), device=sizes.device) - torch.repeat_interleave(start, chosen)
        return torch.repeat_interleave(first, chosen) + offset

    def to_layout(self, layout: Layout, width: int | None = None) -> Batch:
        """The same items in the other layout.

        Args:
            layout: "flat" or "padded".
            width: Padded length; the longest item by default.
        """
        if layout == self.layout and (width is None or layout == "flat"):
            return self
        if self.layout == "padded":
            rows = {name: self.rows(value, name) for name, value in self.fields.items()}
            flat = replace(self, fields=rows, layout="flat", dense=False)
            return flat if layout == "flat" else flat.to_layout("padded", width)
        places: dict[str, tuple[int, Tensor]] = {}
        fields = {}
        dense = True
        for name, value in self.fields.items():
            axis = key_of(name).axis
            if axis != "graph" and axis not in places:
                longest, place, full = self._places(axis, width)
                places[axis] = longest, place
                dense = dense and full
            fields[name] = value if axis == "graph" else self._scatter(value, name, *places[axis])
        return replace(self, fields=fields, layout="padded", dense=dense)

    def rows(self, value: Tensor, name: str = "pos") -> Tensor:
        """Real rows of a tensor that has the layout of the named field: ``[rows, ...]``."""
        axis = key_of(name).axis
        return value if axis == "graph" or self.layout == "flat" else value[self.mask(axis)]

    def like(self, rows: Tensor, layout: Layout, name: str = "pos") -> Tensor:
        """Lays flat rows of the named field out in a layout; the padded width is that of this batch, if it has one."""
        axis = key_of(name).axis
        if layout == "flat" or axis == "graph":
            return rows
        width = self._width(axis) if self.layout == "padded" else None
        return self._scatter(rows, name, *self._places(axis, width)[:2])

    def _places(self, axis: str, width: int | None) -> tuple[int, Tensor, bool]:
        """Padded length of an axis, where each flat row goes among all padded rows, and whether they fill them all."""
        sizes = self.sizes[axis]
        shortest, longest = torch.stack(sizes.aminmax()).tolist() if len(sizes) else (0, 0)
        width = longest if width is None else width
        if width < longest:
            raise ValueError(f"width {width} is less than the longest item ({longest})")
        ahead = torch.arange(len(sizes), device=sizes.device) * width - (torch.cumsum(sizes, 0) - sizes)
        shift = torch.repeat_interleave(ahead, sizes)
        return width, shift + torch.arange(len(shift), device=sizes.device), shortest == width

    def _scatter(self, rows: Tensor, name: str, width: int, places: Tensor) -> Tensor:
        """Puts flat rows of a field in their places, with the field's own padding elsewhere."""
        out = rows.new_full((len(self) * width, *rows.shape[1:]), key_of(name).pad)
        return out.index_copy(0, places, rows).reshape(len(self), width, *rows.shape[1:])

    # --- moving --------------------------------------------------------------------------------------------------

    def _map(self, move: Callable[[Tensor], Tensor]) -> Batch:
        return replace(
            self,
            fields={name: move(value) for name, value in self.fields.items()},
            sizes={axis: move(size) for axis, size in self.sizes.items()},
        )

    def to(self, *args: Any, **kwargs: Any) -> Batch:
        """Moves every tensor to a device, as ``Tensor.to`` does (dtypes are kept)."""
        return self._map(lambda value: value.to(*args, **kwargs))

    def pin_memory(self) -> Batch:
        """Pins every tensor, for quick copies to a GPU."""
        return self._map(lambda value: value.pin_memory())

    def to_pyg(self) -> list[Any]:
        """One PyG ``Data`` an item."""
        from torch_geometric.data import Data

        flat = self.to_layout("flat")
        samples = []
        for number in range(len(self)):
            one = flat.select(torch.tensor([number], device=self.device))
            samples.append(Data(**dict(one.fields), num_nodes=one.n_rows() if "atom" in one.sizes else None))
        return samples


def _trail(values: Tensor, like: Tensor) -> Tensor:
    """Adds trailing axes so that ``values`` broadcasts against ``like``."""
    return values.reshape(values.shape + (1,) * (like.dim() - values.dim()))
