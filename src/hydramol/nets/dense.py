"""Fully connected layers with the initialisation and parameter names of SchNetPack."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn


class Dense(nn.Linear):
    """A linear layer, followed by SiLU if asked; Xavier-uniform weights and zero biases, as in SchNetPack.

    Args:
        n_in: Input features.
        n_out: Output features.
        activate: Whether SiLU follows.
        bias: Whether there is a bias.
    """

    def __init__(self, n_in: int, n_out: int, activate: bool = False, bias: bool = True) -> None:
        super().__init__(n_in, n_out, bias)
        self.activate = activate

    def reset_parameters(self) -> None:
        """Draws new weights."""
        nn.init.xavier_uniform_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Applies the layer: ``[..., n_in] -> [..., n_out]``."""
        x = F.linear(x, self.weight, self.bias)
        return F.silu(x) if self.activate else x


def layer_widths(n_in: int, n_out: int, n_layers: int, n_hidden: int | Sequence[int] | None = None) -> list[int]:
    """Widths of all layers of an MLP, input and output included.

    Args:
        n_in: Input features.
        n_out: Output features.
        n_layers: Layers.
        n_hidden: Hidden width, or one for each hidden layer; None halves the width from layer to layer, but not below
            ``n_out`` (SchNetPack's pyramid).
    """
    if min(n_in, n_out, n_layers) < 1:
        raise ValueError(f"n_in={n_in}, n_out={n_out}, n_layers={n_layers} must all be at least 1")
    if n_hidden is None:
        hidden = [max(n_out, n_in >> layer) for layer in range(1, n_layers)]
    elif isinstance(n_hidden, int):
        hidden = [n_hidden] * (n_layers - 1)
    else:
        hidden = list(n_hidden)
        if len(hidden) != n_layers - 1:
            raise ValueError(f"n_hidden={hidden} names {len(hidden)} widths for {n_layers - 1} hidden layers")
    return [n_in, *hidden, n_out]


def mlp(n_in: int, n_out: int, n_layers: int = 2, n_hidden: int | Sequence[int] | None = None) -> nn.Sequential:
    """Dense layers with SiLU between them and none after the last; widths as in `layer_widths`."""
    widths = layer_widths(n_in, n_out, n_layers, n_hidden)
    return nn.Sequential(
        *(Dense(widths[i], widths[i + 1], activate=i < n_layers - 1) for i in range(n_layers)),
    )
