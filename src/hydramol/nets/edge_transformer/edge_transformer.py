"""The EdgeTransformer backbone."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from hydramol.core.batch import Batch, Layout
from hydramol.core.protocols import Features
from hydramol.nets.edge_transformer.electron_configuration import MAX_Z
from hydramol.nets.edge_transformer.head import READOUTS, NoiseHead, Readout
from hydramol.nets.edge_transformer.layer import EdgeTransformerLayer
from hydramol.nets.edge_transformer.node_embedding import NodeEmbedding
from hydramol.nets.edge_transformer.pair_embedding import PairEmbedding, displacements
from hydramol.nets.edge_transformer.pooling import PairPooling
from hydramol.nets.time_input import TimeInput


class EdgeTransformer(nn.Module):
    """A transformer on all ordered pairs of atoms (MD-ET, arXiv 2503.01431).

    It knows of space through distances and the angles of displacements, so it is invariant to translation and
    permutation by construction, and to rotation only as far as it learns it (exactly with ``n_direction=0``). Cost
    grows with the cube of the atoms, memory with the square.

    It departs from the publication where that is at fault or dear, and equals it in size: pooling ignores padding;
    embeddings start random; directions are smooth harmonics instead of sines of the angles themselves; charge and
    multiplicity enter as numbers.

    Args:
        n_layers: Layers.
        width: Features of pairs and atoms.
        n_heads: Attention heads; they divide the width.
        ffn_factor: Hidden features of the feed-forward nets over width.
        n_rbf: Learnt Gaussians of the distance.
        n_direction: Fourier harmonics of azimuth and polar angle; 0 for an invariant backbone.
        r_max: Range of the Gaussians' first centres, Angstrom.
        dropout: Share of each branch's output dropped in training.
        readout: How `noise_head` reads vectors: "node" (published), "pair" or "both".
        time: How the time of a diffusion process enters; None for no time.
        attention: "lean" (memory as the pairs) or "dense" (the cubic formula, differentiable more than once).
        checkpoint_activations: Whether layers run again in the backward pass instead of keeping their activations.
        max_z: Largest atomic number.
    """

    layout: ClassVar[Layout] = "padded"

    def __init__(
        self,
        n_layers: int = 12,
        width: int = 192,
        n_heads: int = 12,
        ffn_factor: float = 2,
        n_rbf: int = 128,
        n_direction: int = 16,
        r_max: float = 8.0,
        dropout: float = 0.0,
        readout: Readout = "node",
        time: TimeInput | None = None,
        attention: str = "lean",
        checkpoint_activations: bool = False,
        max_z: int = MAX_Z,
    ) -> None:
        super().__init__()
        _check(n_layers, width, n_rbf, n_direction, readout, max_z)
        self.n_features = width
        self.readout = readout
        self.max_z = max_z
        self.time = time
        self.checkpoint_activations = checkpoint_activations
        self.nodes = NodeEmbedding(width, max_z)
        self.pairs = PairEmbedding(width, n_rbf, n_direction, r_max)
        # One linear map of [h_i, h_j], written as two so that each acts once an atom.
        self.compose_first = nn.Linear(width, width)
        self.compose_second = nn.Linear(width, width, bias=False)
        modulated = time is not None and time.where == "adaln"
        self.layers = nn.ModuleList(
            EdgeTransformerLayer(width, n_heads, ffn_factor, dropout, modulated, attention) for _ in range(n_layers)
        )
        self.pooling = PairPooling(width)
        in_backbone = time is not None and time.where != "head"
        self.time_linear = nn.Linear(time.n_channels, width) if time is not None and in_backbone else None

    def forward(self, batch: Batch, time: Tensor | None = None) -> Features:
        """Features of atoms and pairs.

        Args:
            batch: Padded, with ``z`` and ``pos`` (Angstrom), and ``charge`` and ``multiplicity`` where known. Where it
                is known to be dense (molecules of one size) nothing is masked.
            time: Normalised t of each molecule, ``[items]`` in [0, 1]; ignored where time enters the head or not.

        Returns:
            ``scalar`` ``[items, atoms, width]`` and ``pair`` ``[items, atoms, atoms, width]``; rows of padded atoms
            mean nothing.
        """
        if batch.layout != "padded":
            raise ValueError('the EdgeTransformer takes padded batches: batch.to_layout("padded")')
        mask = None if batch.dense else batch.mask()
        nodes = self.nodes(batch)
        pairs = self.pairs(displacements(batch["pos"]))
        condition = self._condition(time)
        if condition is not None and self.time is not None and self.time.where == "node":
            nodes = nodes + condition[:, None]
        pairs = pairs + self.compose_first(nodes)[:, :, None] + self.compose_second(nodes)[:, None]
        if condition is not None and self.time is not None and self.time.where == "pair":
            pairs = pairs + condition[:, None, None]
        for layer in self.layers:
            if self.checkpoint_activations and torch.is_grad_enabled():
                pairs = checkpoint(layer, pairs, mask, condition, use_reentrant=False)
            else:
                pairs = layer(pairs, mask, condition)
        return Features(self.pooling(pairs, mask), None, pairs)

    def _condition(self, time: Tensor | None) -> Tensor | None:
        """The time as the backbone's features, ``[items, width]``."""
        if self.time is None or self.time_linear is None:
            return None
        if time is None:
            raise ValueError(f"time enters at the {self.time.where!r}: call the net with the time of each molecule")
        # In the weights' precision: bfloat16 cannot tell steps of time apart.
        embedded = self.time_linear(self.time(time.to(self.time_linear.weight.dtype)))
        return functional.silu(embedded) if self.time.where == "adaln" else embedded

    def noise_head(self) -> NoiseHead:
        """A fresh head ``(features, batch, time) -> [items, atoms, 3]``."""
        in_head = self.time is not None and self.time.where == "head"
        return NoiseHead(self.n_features, self.readout, self.time if in_head else None)


def _check(n_layers: int, width: int, n_rbf: int, n_direction: int, readout: str, max_z: int) -> None:
    least = {"n_layers": (n_layers, 1), "width": (width, 4), "n_rbf": (n_rbf, 1), "n_direction": (n_direction, 0)}
    for name, (value, smallest) in least.items():
        if value < smallest:
            raise ValueError(f"{name}={value} must be at least {smallest}")
    if readout not in READOUTS:
        raise ValueError(f"readout={readout!r}: one of {', '.join(READOUTS)}")
    if not 1 <= max_z <= MAX_Z:
        raise ValueError(f"max_z={max_z} must be 1 to {MAX_Z}")
