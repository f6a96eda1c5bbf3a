"""Float64 tables over integer time, looked up where the request lives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor


class Table:
    """Named columns over integer steps, with one copy on each device that asked.

    A sampler looks its coefficients up at every step; with the copy beside the state that needs no transfer and no
    wait for the device.

    Args:
        columns: Values ``[n_steps]`` by name.
    """

    def __init__(self, columns: Mapping[str, np.ndarray | Tensor]) -> None:
        self.names = tuple(columns)
        self._values = torch.stack([torch.as_tensor(column, dtype=torch.float64) for column in columns.values()])
        self._copies: dict[torch.device, Tensor] = {}

    def __getitem__(self, name: str) -> Tensor:
        """A whole column, ``[n_steps]`` float64 on the CPU."""
        return self._values[self.names.index(name)]

    def at(self, t: Tensor) -> tuple[Tensor, ...]:
        """Every column at the given steps, each in the shape of t, float64.

        Args:
            t: Integer steps of any shape.
        """
        if t.is_floating_point():
            raise TypeError(f"discrete time is an integer step, not {t.dtype}; see DiscretePath.unnormalise")
        if t.device not in self._copies:
            self._copies[t.device] = self._values.to(t.device)
        return self._copies[t.device][:, t].unbind(0)

    def __getstate__(self) -> dict[str, Any]:
        # Copies on devices are made again where needed; they must not travel with a pickled or copied model.
        return {**self.__dict__, "_copies": {}}
