"""What two atoms are to each other: how far, and in which direction."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional


class Displacements(NamedTuple):
    """Geometry of all ordered pairs, safe to differentiate where two atoms coincide.

    Attributes:
        vector: ``x_i - x_j``, ``[items, atoms, atoms, 3]``, Angstrom.
        distance: ``[items, atoms, atoms]``, Angstrom; 0 with gradient 0 where i and j coincide.
        unit: ``[items, atoms, atoms, 3]``; 0 with finite gradient where i and j coincide.
    """

    vector: Tensor
    distance: Tensor
    unit: Tensor


def displacements(positions: Tensor) -> Displacements:
    """Displacements between all atoms of padded molecules.

    Args:
        positions: ``[items, atoms, 3]``, Angstrom.
    """
    vector = positions[:, :, None] - positions[:, None]
    square = vector.square().sum(-1)
    apart = square > 0
    # sqrt has no gradient at 0: it never sees one.
    distance = torch.where(apart, square, 1.0).sqrt() * apart
    return Displacements(vector, distance, vector / torch.where(apart, distance, 1.0)[..., None])


class GaussianBasis(nn.Module):
    """Gaussians of the distance whose centres and widths are learnt.

    Args:
        n_rbf: Gaussians.
        r_max: Centres start evenly spaced over [0, r_max], Angstrom, as wide as they are apart.
    """

    def __init__(self, n_rbf: int = 128, r_max: float = 8.0) -> None:
        super().__init__()
        self.centre = nn.Parameter(torch.linspace(0.0, r_max, n_rbf))
        # The logarithm keeps widths positive.
        self.log_width = nn.Parameter(torch.full((n_rbf,), math.log(r_max / max(n_rbf - 1, 1))))

    def forward(self, distance: Tensor) -> Tensor:
        """Expands distances.

        Args:
            distance: ``[...]``, Angstrom.

        Returns:
            ``[..., n_rbf]``.
        """
        scaled = (distance[..., None] - self.centre) * torch.exp(-self.log_width)
        return torch.exp(-0.5 * scaled.square())


def direction_features(unit: Tensor, n_direction: int) -> Tensor:
    """Fourier features of the spherical angles of unit vectors, smooth everywhere on the sphere.

    For m = 1 ... n_direction: ``sin^m(polar) cos(m azimuth)``, ``sin^m(polar) sin(m azimuth)`` (the sectoral spherical
    harmonics) and ``cos(m polar)``. The factor ``sin^m`` removes the jump of the azimuth on the polar axis. All three
    are polynomials of the components (powers of x + iy, Chebyshev polynomials of z), so no angle is ever computed and
    no gradient is undefined.

    Args:
        unit: ``[..., 3]`` unit vectors; 0 stands for no direction and gives zeros.
        n_direction: Harmonics of each angle.

    Returns:
        ``[..., 3 n_direction]``.
    """
    x, y, z = unit.unbind(-1)
    real, imaginary = [x], [y]
    polar = [torch.ones_like(z), z]
    for _ in range(n_direction - 1):
        real_last, imaginary_last = real[-1], imaginary[-1]
        real.append(real_last * x - imaginary_last * y)
        imaginary.append(real_last * y + imaginary_last * x)
        polar.append(2 * z * polar[-1] - polar[-2])
    exists = unit.detach().abs().sum(-1, keepdim=True) > 0
    return torch.stack([*real, *imaginary, *polar[1:]], dim=-1) * exists


class PairEmbedding(nn.Module):
    """Embeds distance and direction of all ordered pairs with one hidden layer.

    Args:
        width: Features.
        n_rbf: Gaussians of the distance.
        n_direction: Harmonics of each spherical angle; 0 leaves directions out, so that features are invariant.
        r_max: Range of the Gaussians' first centres, Angstrom.
    """

    def __init__(self, width: int, n_rbf: int = 128, n_direction: int = 16, r_max: float = 8.0) -> None:
        super().__init__()
        self.n_direction = n_direction
        self.basis = GaussianBasis(n_rbf, r_max)
        self.hidden = nn.Linear(n_rbf + 3 * n_direction, width)
        self.out = nn.Linear(width, width)

    def forward(self, pairs: Displacements) -> Tensor:
        """Embeds pairs.

        Returns:
            ``[items, atoms, atoms, width]``.
        """
        features = self.basis(pairs.distance)
        if self.n_direction:
            features = torch.cat([features, direction_features(pairs.unit, self.n_direction)], dim=-1)
        return self.out(functional.gelu(self.hidden(features)))
