"""Distances and bond angles by element, of samples against data."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import torch

from hydramol.core.batch import Batch
from hydramol.evaluation.bond_rules import EDM, BondRule, symbol
from hydramol.evaluation.stability import stability

_CHUNK = 512  # items at a time: angles need one entry for each triple of atoms

Values = Mapping[str, np.ndarray]
"""Numbers by what they belong to ("C-H", "H-C-H")."""


@dataclass(frozen=True)
class Comparison:
    """One quantity in samples and in data.

    Attributes:
        name: What the values belong to, "C-H" for example.
        n_samples: Values in the samples.
        n_data: Values in the data.
        edges: Bin edges ``[bins + 1]``.
        samples: Density of the samples ``[bins]``.
        data: Density of the data ``[bins]``.
        wasserstein: Wasserstein-1 distance in the unit of the values; needs no bins.
        jensen_shannon: Jensen-Shannon divergence of the two histograms in bits, 0 (equal) to 1 (disjoint).
    """

    name: str
    n_samples: int
    n_data: int
    edges: np.ndarray
    samples: np.ndarray
    data: np.ndarray
    wasserstein: float
    jensen_shannon: float


def pair_distances(batch: Batch, max_distance: float = 5.0) -> dict[str, np.ndarray]:
    """Distances between all atoms by pair of elements ("C-H": carbon first, hydrogen last).

    Args:
        batch: Structures with ``z`` and ``pos``, in either layout.
        max_distance: Longer ones are left out, Angstrom.
    """
    found: dict[tuple[int, ...], list[np.ndarray]] = {}
    for part in _chunks(batch):
        z, mask, pos = part["z"], part.mask(), part["pos"].double()
        first, second = torch.triu_indices(mask.shape[1], mask.shape[1], offset=1, device=z.device)
        distance = (pos[:, first] - pos[:, second]).norm(dim=-1)
        chosen = mask[:, first] & mask[:, second] & (distance <= max_distance)
        pairs = torch.stack([z[:, first], z[:, second]], -1)[chosen]
        order = torch.where(pairs == 6, 0, torch.where(pairs == 1, 1000, pairs)).argsort(-1)
        _gather(found, pairs.gather(-1, order), distance[chosen])
    return _joined(found)


def bond_angles(batch: Batch, rule: BondRule = EDM) -> dict[str, np.ndarray]:
    """Angles in degrees between bonds that share an atom, by elements ("H-C-C": C in the middle, lighter end first).

    Args:
        batch: Structures with ``z`` and ``pos``, in either layout.
        rule: Says which atoms are bonded.
    """
    found: dict[tuple[int, ...], list[np.ndarray]] = {}
    for part in _chunks(batch):
        z, pos = part["z"], part["pos"].double()
        bonded = stability(part, rule).bond_orders > 0
        # Bonds sorted by their first atom; two of one atom make an angle.
        item, centre, end = bonded.nonzero(as_tuple=True)
        atom = item * z.shape[1] + centre
        n_bonds = torch.bincount(atom, minlength=z.numel())[atom]
        one = torch.repeat_interleave(torch.arange(len(atom), device=z.device), n_bonds)
        start = torch.searchsorted(atom, atom)  # first bond of the same atom
        within = torch.arange(len(one), device=z.device) - torch.repeat_interleave(n_bonds.cumsum(0) - n_bonds, n_bonds)
        other = start[one] + within
        one, other = one[one < other], other[one < other]
        direction = pos[item, end] - pos[item, centre]
        direction = direction / direction.norm(dim=-1, keepdim=True)
        cosine = (direction[one] * direction[other]).sum(-1).clamp(-1, 1)
        ends = torch.stack([z[item[one], end[one]], z[item[other], end[other]]], -1).sort(-1).values
        middle = z[item[one], centre[one]]
        _gather(found, torch.stack([ends[:, 0], middle, ends[:, 1]], -1), torch.rad2deg(cosine.arccos()))
    return _joined(found)


def compare(samples: Values, data: Values, n_bins: int = 60, n_largest: int | None = None) -> list[Comparison]:
    """Compares every kind of value that the data has, the most frequent first.

    Args:
        samples: Values of the samples by kind.
        data: Values of the data by kind.
        n_bins: Bins between the extremes of data and samples.
        n_largest: Only so many of the most frequent kinds.
    """
    names = sorted(data, key=lambda name: -len(data[name]))[:n_largest]
    return [_compare(name, samples.get(name, np.empty(0)), data[name], n_bins) for name in names]


def wasserstein_1(a: np.ndarray, b: np.ndarray) -> float:
    """Wasserstein-1 distance of two sets of numbers: the area between their cumulative distributions.

    It is nan where one set is empty.
    """
    if not len(a) or not len(b):
        return math.nan
    values = np.sort(np.concatenate([a, b]))
    below = [np.searchsorted(np.sort(one), values[:-1], side="right") / len(one) for one in (a, b)]
    return float(np.sum(np.abs(below[0] - below[1]) * np.diff(values)))


def jensen_shannon(p: np.ndarray, q: np.ndarray) -> float:
    """Jensen-Shannon divergence in bits of two histograms (normalised here); nan if one is empty."""
    if not p.sum() or not q.sum():
        return math.nan
    p, q = p / p.sum(), q / q.sum()
    mean = (p + q) / 2
    return float(sum(np.sum(one[one > 0] * np.log2(one[one > 0] / mean[one > 0])) for one in (p, q)) / 2)


def _compare(name: str, samples: np.ndarray, data: np.ndarray, n_bins: int) -> Comparison:
    both = np.concatenate([samples, data])
    edges = np.histogram_bin_edges(both, n_bins)
    counts = [np.histogram(one, edges)[0] for one in (samples, data)]
    density = [count / (max(count.sum(), 1) * np.diff(edges)) for count in counts]
    return Comparison(
        name=name,
        n_samples=len(samples),
        n_data=len(data),
        edges=edges,
        samples=density[0],
        data=density[1],
        wasserstein=wasserstein_1(samples, data),
        jensen_shannon=jensen_shannon(counts[0], counts[1]),
    )


def _chunks(batch: Batch) -> Iterator[Batch]:
    """A large batch in padded pieces."""
    items = torch.arange(len(batch), device=batch.device)
    for start in range(0, len(batch), _CHUNK):
        yield batch.select(items[start : start + _CHUNK]).to_layout("padded")


def _gather(found: dict[tuple[int, ...], list[np.ndarray]], kinds: torch.Tensor, values: torch.Tensor) -> None:
    """Sorts values ``[n]`` into lists by their kind, rows of atomic numbers ``[n, k]``."""
    unique, which = torch.unique(kinds, dim=0, return_inverse=True)
    for number, kind in enumerate(unique.tolist()):
        found.setdefault(tuple(kind), []).append(values[which == number].cpu().numpy())


def _joined(found: Mapping[tuple[int, ...], list[np.ndarray]]) -> dict[str, np.ndarray]:
    return {"-".join(symbol(number) for number in kind): np.concatenate(parts) for kind, parts in found.items()}
