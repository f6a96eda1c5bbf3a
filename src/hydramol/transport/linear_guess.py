"""The best guess of the noise that is linear in x_t: the baseline of every noise loss, and the skip of a net."""

from __future__ import annotations

import torch
from torch import Tensor

from hydramol.core.batch import Batch
from hydramol.geometry.centring import centre
from hydramol.transport.discrete_path import DiscretePath
from hydramol.transport.tables import Table


def position_variance(pos: Tensor, batch: Batch) -> float:
    """Variance of positions about the centre of their molecule, for each degree of freedom, Angstrom^2.

    The sum of squares is divided by 3(n - 1) for each molecule, not 3n: centred structures, like centred noise, live in
    that many dimensions. With this definition the best linear coefficient does not depend on the size of a molecule.

    Args:
        pos: ``[rows..., 3]``, Angstrom, in the layout of the batch.
        batch: The molecules.
    """
    centred = centre(pos.to(torch.float64), batch)
    freedom = 3 * (batch.sizes["atom"] - 1).sum()
    if freedom == 0:
        raise ValueError("position_variance needs a molecule of at least two atoms")
    return float(batch.sum(centred.square()).sum() / freedom)


class LinearGuess:
    """Guesses ``noise ~ c(t) x_t`` with the coefficient that has the least mean squared error.

    For data of variance v in each degree of freedom, ``c = s / (a^2 v + s^2)``, and what remains unexplained has the
    variance ``g^2 = a^2 v / (a^2 v + s^2)``. A net that learns ``noise = c(t) x_t + g(t) net`` begins at this guess and
    has a target of unit variance at every t (the preconditioning of Karras et al., NeurIPS 2022, for noise prediction).

    Args:
        path: The factors a and s.
        position_variance: v as the function `position_variance` defines it, Angstrom^2.
    """

    def __init__(self, path: DiscretePath, position_variance: float) -> None:
        if not position_variance > 0:
            raise ValueError(f"position_variance={position_variance}: must be positive")
        self.position_variance = float(position_variance)
        a, s = path.at(torch.arange(path.n_steps))
        data, noise = a.square() * self.position_variance, s.square()
        self._table = Table({"c": s / (data + noise), "g": (data / (data + noise)).sqrt()})

    def at(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """The coefficient c and the residual scale g, in the shape of the integer steps t, float64."""
        c, g = self._table.at(t)
        return c, g

    def __call__(self, x_t: Tensor, t: Tensor, batch: Batch) -> Tensor:
        """The guessed noise of each row, in the dtype of x_t.

        Args:
            x_t: ``[rows..., 3]``, centred, Angstrom.
            t: ``[items]`` steps.
            batch: The items.
        """
        return (batch.spread(self.at(t)[0])[..., None] * x_t).to(x_t.dtype)

    def parts(self, x_t: Tensor, t: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """The guessed noise ``[rows..., 3]`` and the scale of what is left to say, ``[rows..., 1]``; see `__call__`."""
        c, g = (batch.spread(value.to(x_t.dtype))[..., None] for value in self.at(t))
        return c * x_t, g

    def expected_loss(self) -> float:
        """Mean squared error over uniform t, relative to that of guessing zero; 0.62 for QM9, polynomial schedule."""
        return float(self._table["g"].square().mean())
