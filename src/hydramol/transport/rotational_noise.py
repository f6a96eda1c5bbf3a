r"""Random rotations that grow with time: a net that knows only one frame meets ever more of them.

The rotation at the normalised time u is that of the quaternion

.. math::
    q \propto \left( \kappa (1 - u), 0, 0, 0 \right) + u \, g, \quad g \sim N(0, 1_4), \quad \kappa = 2 \sqrt 3 / \pi .

Its axis is uniform. Its angle has, for small u, the root mean square pi u (a small angle is twice the imaginary part:
2 sqrt(3) u / kappa); at u = 0 there is no rotation, and at u = 1 the rotation is uniform over SO(3), since a normalised
vector of four standard normals is (Shoemake, Graphics Gems III, 1992).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hydramol.core.batch import Batch
from hydramol.core.randomness import Randomness
from hydramol.geometry.rotations import quaternion_to_matrix

_KAPPA = 2.0 * math.sqrt(3.0) / math.pi


def growing_rotations(time: Tensor, batch: Batch, random: Randomness) -> Tensor:
    """A rotation of each item, wider the later its time.

    Args:
        time: Normalised times u, ``[items]`` in [0, 1].
        batch: The items.
        random: Where the numbers come from.

    Returns:
        ``[items, 3, 3]`` float64.
    """
    u = time.to(torch.float64)[:, None]
    still = torch.zeros(len(batch), 4, dtype=torch.float64, device=u.device)
    still[:, 0] = _KAPPA
    return quaternion_to_matrix((1.0 - u) * still + u * random.normal(batch, 4))
