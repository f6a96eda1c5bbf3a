"""PaiNN, the equivariant backbone (Schuett, Unke & Gastegger, ICML 2021), with SchNetPack's parameter names.

It can be differentiated three times and more, also for single atoms and coinciding ones: forces in a loss, and losses
inside a distiller.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hydramol.core.batch import Batch, Layout
from hydramol.core.protocols import Features
from hydramol.geometry.neighbours import neighbours
from hydramol.geometry.norms import split_length
from hydramol.nets.dense import Dense
from hydramol.nets.equivariant_head import EquivariantHead
from hydramol.nets.rbf import CosineCutoff, GaussianRBF
from hydramol.nets.time_input import TimeInput


class PaiNNInteraction(nn.Module):
    """Messages between atoms (equations 7 and 8 of the paper).

    Args:
        n_atom_basis: Features.
    """

    def __init__(self, n_atom_basis: int) -> None:
        super().__init__()
        self.n_atom_basis = n_atom_basis
        self.interatomic_context_net = nn.Sequential(
            Dense(n_atom_basis, n_atom_basis, activate=True), Dense(n_atom_basis, 3 * n_atom_basis)
        )

    def forward(
        self, q: Tensor, mu: Tensor, filters: Tensor, direction: Tensor, idx_i: Tensor, idx_j: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Updates the features of every atom from its neighbours.

        Args:
            q: Scalars ``[N, F]``.
            mu: Vectors ``[N, 3, F]``.
            filters: ``[pairs, 3F]``.
            direction: Unit vectors from i to j, ``[pairs, 3]``.
            idx_i: Receiving atom, ``[pairs]``.
            idx_j: Sending atom, ``[pairs]``.

        Returns:
            Scalars and vectors, as given.
        """
        n = self.n_atom_basis
        for_q, for_mu, own_mu = torch.split(self.interatomic_context_net(q), n, dim=-1)
        # What an atom sends of its own vectors is scaled before it is copied to its pairs, so that one gather serves
        # scalars and vectors alike.
        sent = torch.cat([for_q, for_mu, (own_mu[:, None] * mu).flatten(1)], dim=-1).index_select(0, idx_j)
        for_q, for_mu, own_mu = torch.split(sent, [n, n, 3 * n], dim=-1)
        filter_q, filter_mu, filter_own = torch.split(filters, n, dim=-1)
        dq = filter_q * for_q
        dmu = filter_own[:, None] * own_mu.view(-1, 3, n)
        dmu = torch.addcmul(dmu, (filter_mu * for_mu)[:, None], direction[..., None])
        # Under autocast messages are in half precision; they are summed in that of the features.
        return q.index_add(0, idx_i, dq.to(q.dtype)), mu.index_add(0, idx_i, dmu.to(mu.dtype))


class PaiNNMixing(nn.Module):
    """Mixing of scalars and vectors within an atom (equations 9 and 10).

    Args:
        n_atom_basis: Features.
        epsilon: Added under the square root of lengths, keeps every derivative finite at zero vectors.
    """

    def __init__(self, n_atom_basis: int, epsilon: float) -> None:
        super().__init__()
        self.n_atom_basis = n_atom_basis
        self.epsilon = epsilon
        self.intraatomic_context_net = nn.Sequential(
            Dense(2 * n_atom_basis, n_atom_basis, activate=True), Dense(n_atom_basis, 3 * n_atom_basis)
        )
        self.mu_channel_mix = Dense(n_atom_basis, 2 * n_atom_basis, bias=False)

    def forward(self, q: Tensor, mu: Tensor) -> tuple[Tensor, Tensor]:
        """``[N, F], [N, 3, F] -> [N, F], [N, 3, F]``."""
        mu_v, mu_w = self.mu_channel_mix(mu).chunk(2, dim=-1)
        length = (mu_v.square().sum(-2) + self.epsilon).sqrt()
        context = self.intraatomic_context_net(torch.cat([q, length], dim=-1))
        dq, dmu, dqmu = context.chunk(3, dim=-1)
        return q + dq + dqmu * (mu_v * mu_w).sum(-2), mu + dmu[:, None] * mu_w


class PaiNN(nn.Module):
    """Polarizable atom interaction network; takes flat batches.

    Args:
        n_atom_basis: Scalar features of an atom, and as many vector features.
        n_interactions: Rounds of messages.
        n_rbf: Gaussians that describe a distance.
        cutoff: Atoms at this distance (Angstrom) or beyond do not see each other.
        time: How the time of a diffusion process enters; None for force fields.
        shared_interactions: One set of interaction and mixing weights for all rounds.
        shared_filters: One set of filters for all rounds.
        max_z: Largest atomic number.
        epsilon: Added under the square root of vector lengths.
        n_head_layers: Gated equivariant blocks of `noise_head`.
    """

    layout: ClassVar[Layout] = "flat"

    def __init__(
        self,
        n_atom_basis: int = 256,
        n_interactions: int = 3,
        n_rbf: int = 20,
        cutoff: float = 5.0,
        time: TimeInput | None = None,
        shared_interactions: bool = False,
        shared_filters: bool = False,
        max_z: int = 99,
        epsilon: float = 1e-8,
        n_head_layers: int = 3,
    ) -> None:
        super().__init__()
        for name, value in {"n_atom_basis": n_atom_basis, "n_interactions": n_interactions, "max_z": max_z}.items():
            if value < 1:
                raise ValueError(f"{name}={value} must be at least 1")
        if not epsilon > 0:
            raise ValueError(f"epsilon={epsilon} must be positive")
        self.n_features = self.n_atom_basis = n_atom_basis
        self.n_interactions = n_interactions
        self.max_z = max_z
        self.cutoff = float(cutoff)
        self.shared_filters = shared_filters
        self.n_head_layers = n_head_layers
        self.time = time
        self._where = None if time is None else time.where
        n_time = 0 if time is None else time.n_channels

        self.embedding = nn.Embedding(max_z + 1, n_atom_basis)
        self.radial_basis = GaussianRBF(n_rbf, cutoff)
        self.cutoff_fn = CosineCutoff(cutoff)
        n_filters = 1 if shared_filters else n_interactions
        self.filter_net = Dense(n_rbf + (n_time if self._where == "pair" else 0), n_filters * 3 * n_atom_basis)
        self.interactions = _rounds(lambda: PaiNNInteraction(n_atom_basis), n_interactions, shared_interactions)
        self.mixing = _rounds(lambda: PaiNNMixing(n_atom_basis, epsilon), n_interactions, shared_interactions)
        if self._where == "node":
            self.time_node = Dense(n_time, n_atom_basis)
        elif self._where == "adaln":
            # Zero at first (Peebles & Xie 2023): training starts from the net without time.
            last = Dense(n_atom_basis, n_interactions * 3 * n_atom_basis)
            nn.init.zeros_(last.weight)
            self.time_modulation = nn.Sequential(Dense(n_time, n_atom_basis, activate=True), last)

    def forward(self, batch: Batch, time: Tensor | None = None) -> Features:
        """Features of every atom.

        Args:
            batch: Flat batch with ``z`` and ``pos``.
            time: Normalised time of each molecule, ``[items]``; read unless time is None or enters the head.

        Returns:
            ``scalar [N, F]``, ``vector [N, 3, F]``.
        """
        idx_i, idx_j, r_ij = neighbours(batch, self.cutoff)
        channels = None
        if self.time is not None and self.time.where != "head":
            if time is None:
                raise ValueError(f"this PaiNN takes the time (time.where={self.time.where}) but was called without one")
            channels = batch.spread(self.time(time)).to(r_ij.dtype)
        return self.represent(batch["z"], idx_i, idx_j, r_ij, channels)

    def represent(
        self, z: Tensor, idx_i: Tensor, idx_j: Tensor, r_ij: Tensor, channels: Tensor | None = None
    ) -> Features:
        """The net itself, on tensors.

        Args:
            z: Atomic numbers ``[N]``.
            idx_i: Receiving atom of each pair, ``[pairs]``.
            idx_j: Sending atom of each pair, ``[pairs]``.
            r_ij: ``pos[j] - pos[i]``, ``[pairs, 3]``, Angstrom.
            channels: Embedded time of each atom, ``[N, channels]``, for time.where node, pair or adaln.

        Returns:
            ``scalar [N, F]``, ``vector [N, 3, F]``.
        """
        distance, direction = split_length(r_ij)
        filters = self._filters(distance, channels, idx_i)
        q = self.embedding(z)
        if self._where == "node":
            q = q + self.time_node(channels)
        mu = q.new_zeros(len(q), 3, self.n_atom_basis)
        modulation = self._modulation(channels)
        for index, (interaction, mixing) in enumerate(zip(self.interactions, self.mixing, strict=True)):
            q, mu = interaction(q, mu, filters[index], direction, idx_i, idx_j)
            q, mu = mixing(q, mu)
            if modulation is not None:
                shift, scale, gate = modulation[index].chunk(3, dim=-1)
                q, mu = q * (1 + scale) + shift, mu * (1 + gate[:, None])
        return Features(q, mu)

    def noise_head(self) -> EquivariantHead:
        """A fresh noise head; it takes the time where ``time.where`` is "head"."""
        return EquivariantHead(self.n_atom_basis, self.time if self._where == "head" else None, self.n_head_layers)

    def _filters(self, distance: Tensor, channels: Tensor | None, idx_i: Tensor) -> list[Tensor]:
        """Filters of every round, ``[pairs, 3F]`` each."""
        radial = self.radial_basis(distance)
        if self._where == "pair" and channels is not None:
            radial = torch.cat([radial, channels.index_select(0, idx_i)], dim=-1)
        # (W radial + b) f = [W, b] [radial f, f]: the cutoff touches a few radial columns, not every filter.
        weight = self.cutoff_fn(distance)
        radial = torch.cat([radial * weight, weight], dim=-1)
        matrix = torch.cat([self.filter_net.weight, self.filter_net.bias[:, None]], dim=-1)
        filters = [F.linear(radial, rows) for rows in torch.split(matrix, 3 * self.n_atom_basis)]
        return filters * self.n_interactions if self.shared_filters else filters

    def _modulation(self, channels: Tensor | None) -> tuple[Tensor, ...] | None:
        """Shift, scale and gate of every round, ``[N, 3F]`` each; None unless time.where is adaln."""
        return self.time_modulation(channels).chunk(self.n_interactions, dim=-1) if self._where == "adaln" else None


def _rounds(make: Callable[[], nn.Module], n: int, shared: bool) -> nn.ModuleList:
    """One module a round, or the same one in every round."""
    return nn.ModuleList([make()] * n if shared else [make() for _ in range(n)])
