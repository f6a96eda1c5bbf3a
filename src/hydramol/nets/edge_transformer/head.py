"""From features to one vector an atom."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional

from hydramol.core.batch import Batch
from hydramol.core.protocols import Features
from hydramol.nets.edge_transformer.pair_embedding import displacements
from hydramol.nets.time_input import TimeInput

Readout = Literal["node", "pair", "both"]
READOUTS: tuple[Readout, ...] = ("node", "pair", "both")


class TimedLinear(nn.Module):
    """A linear map of features with the time appended, if there is one.

    Written as a sum of two maps: the time is mapped once a molecule instead of being copied to every row.

    Args:
        n_in: Features.
        n_out: Outputs.
        time: How the time is embedded; None for no time.
    """

    def __init__(self, n_in: int, n_out: int, time: TimeInput | None = None) -> None:
        super().__init__()
        self.linear = nn.Linear(n_in, n_out)
        self.time = time
        self.time_linear = nn.Linear(time.n_channels, n_out, bias=False) if time is not None else None

    def forward(self, features: Tensor, time: Tensor | None) -> Tensor:
        """Maps features ``[items, ..., n_in]`` with times ``[items]`` to ``[items, ..., n_out]``."""
        out = self.linear(features)
        if self.time is None or self.time_linear is None:
            return out
        if time is None:
            raise ValueError("this head was built with a time input: call it with the time of each molecule")
        # In the weights' precision: under autocast features are bfloat16, which cannot tell steps of time apart.
        extra = self.time_linear(self.time(time.to(self.time_linear.weight.dtype)))
        return out + extra.view(len(extra), *(1,) * (features.dim() - 2), -1)


class NodeReadout(nn.Module):
    """A vector from each atom's features by a small net, as published.

    Args:
        width: Features.
        time: Appended to the features; None for no time.
    """

    def __init__(self, width: int, time: TimeInput | None = None) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.first = TimedLinear(width, width // 2, time)
        self.rest = nn.Sequential(
            nn.GELU(), nn.Linear(width // 2, width // 4), nn.GELU(), nn.Linear(width // 4, 3, bias=False)
        )

    def forward(self, features: Features, batch: Batch, time: Tensor | None) -> Tensor:
        """Vectors ``[items, atoms, 3]``."""
        return self.rest(self.first(self.norm(features.scalar), time))


class PairReadout(nn.Module):
    r"""A vector from each atom's displacements, weighted by its pairs' features.

    .. math::
        y_i = \sum_j \left( \frac{a_{ij}}{n} + \frac{b_{ij}}{\sqrt n \, (1 + r_{ij})} \right) (x_i - x_j)

    With a constant, the first term alone is ``a (x_i - mean x)``, the best linear guess of the noise in a centred
    structure; the second acts between neighbours and stays bounded far away (few neighbours matter, so the mean over
    all atoms would make it small and slow to learn). Both are smooth where atoms meet, and the vector turns with the
    molecule as far as the weights are invariant.

    Args:
        width: Features.
        time: Appended to the features; None for no time.
    """

    def __init__(self, width: int, time: TimeInput | None = None) -> None:
        super().__init__()
        self.first = TimedLinear(width, width, time)
        self.last = nn.Linear(width, 2)

    def forward(self, features: Features, batch: Batch, time: Tensor | None) -> Tensor:
        """Vectors ``[items, atoms, 3]``."""
        if features.pair is None:
            raise ValueError("the pair readout needs pair features: use it with a padded pair backbone")
        positions = batch["pos"]
        far, near = self.last(functional.gelu(self.first(features.pair, time))).unbind(-1)
        pairs = displacements(positions)
        atoms = batch.sizes["atom"].clamp(min=1).to(positions.dtype)[:, None, None]
        weight = far / atoms + near / (atoms.sqrt() * (1 + pairs.distance))
        if not batch.dense:
            weight = weight * batch.mask()[:, None]
        # Written out: autocast would round the geometry in a product of matrices.
        return (weight[..., None] * pairs.vector).sum(2)


class NoiseHead(nn.Module):
    """Predicts one vector an atom from the EdgeTransformer's features.

    Args:
        width: Features.
        readout: "node" (a net of each atom's features, as published), "pair" (weighted displacements) or "both", their
            sum.
        time: Appended to the features; None where the time entered the backbone, or there is none.
    """

    def __init__(self, width: int, readout: Readout = "node", time: TimeInput | None = None) -> None:
        super().__init__()
        if readout not in READOUTS:
            raise ValueError(f"readout={readout!r}: one of {', '.join(READOUTS)}")
        parts: dict[str, nn.Module] = {}
        if readout in ("node", "both"):
            parts["node"] = NodeReadout(width, time)
        if readout in ("pair", "both"):
            parts["pair"] = PairReadout(width, time)
        self.readouts = nn.ModuleDict(parts)

    def forward(self, features: Features, batch: Batch, time: Tensor | None = None) -> Tensor:
        """Vectors of the atoms.

        Args:
            features: The backbone's features.
            batch: Padded, with ``pos`` in Angstrom.
            time: Normalised t of each molecule, ``[items]``.

        Returns:
            ``[items, atoms, 3]``; 0 on padded atoms.
        """
        vectors = sum(readout(features, batch, time) for readout in self.readouts.values())
        return vectors if batch.dense else vectors * batch.mask()[..., None]
