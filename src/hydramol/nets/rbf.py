"""Radial functions: Gaussians over distances and the cosine cutoff, with SchNetPack's buffer names."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class GaussianRBF(nn.Module):
    """Gaussians on an even grid whose width is the grid spacing (Schuett et al. 2018, J. Chem. Phys. 148, 241722).

    Args:
        n_rbf: Number of Gaussians, at least 2.
        cutoff: Centre of the last one, Angstrom.
        start: Centre of the first one, Angstrom.
        trainable: Whether centres and widths are learnt.
    """

    def __init__(self, n_rbf: int, cutoff: float, start: float = 0.0, trainable: bool = False) -> None:
        super().__init__()
        if n_rbf < 2:
            raise ValueError(f"n_rbf={n_rbf} must be at least 2")
        if not cutoff > start:
            raise ValueError(f"cutoff={cutoff} must be larger than start={start}")
        self.n_rbf = n_rbf
        offsets = torch.linspace(start, cutoff, n_rbf)
        widths = torch.full_like(offsets, float(offsets[1] - offsets[0]))
        if trainable:
            self.widths = nn.Parameter(widths)
            self.offsets = nn.Parameter(offsets)
        else:
            self.register_buffer("widths", widths)
            self.register_buffer("offsets", offsets)

    def forward(self, distance: Tensor) -> Tensor:
        """Expands distances.

        Args:
            distance: ``[..., 1]``, Angstrom.

        Returns:
            ``[..., n_rbf]``.
        """
        return torch.exp(-0.5 / self.widths.square() * (distance - self.offsets).square())


class CosineCutoff(nn.Module):
    """``(cos(pi d / cutoff) + 1) / 2`` inside the cutoff, 0 beyond (Behler 2011, J. Chem. Phys. 134, 074106).

    Args:
        cutoff: Where it ends, Angstrom. Value and first derivative are continuous there.
    """

    cutoff: Tensor

    def __init__(self, cutoff: float) -> None:
        super().__init__()
        if not cutoff > 0:
            raise ValueError(f"cutoff={cutoff} must be positive")
        self.register_buffer("cutoff", torch.tensor([float(cutoff)]))

    def forward(self, distance: Tensor) -> Tensor:
        """Weights of distances (Angstrom), same shape."""
        return torch.where(distance < self.cutoff, 0.5 * (torch.cos(distance * (math.pi / self.cutoff)) + 1.0), 0.0)
