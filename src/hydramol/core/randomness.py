"""Randomness that belongs to items: a pure function of (seed, stream, epoch, item, view, draw).

A counter-based generator (splitmix64 finalisers over int64 words; Steele, Lea & Flood 2014) makes each number from its
address, so the order of batches, the layout, the number of workers or ranks, and molecules that leave a batch early
change nothing. It runs vectorised on any device.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from hydramol.core.batch import Batch


def _signed(word: int) -> int:
    word &= (1 << 64) - 1
    return word - (1 << 64) if word >= 1 << 63 else word


_GOLDEN = _signed(0x9E3779B97F4A7C15)
_MIX_1 = _signed(0xBF58476D1CE4E5B9)
_MIX_2 = _signed(0x94D049BB133111EB)


def _shift(words: Tensor, bits: int) -> Tensor:
    """Logical right shift; torch's own keeps the sign."""
    return (words >> bits) & ((1 << (64 - bits)) - 1)


def _mix(words: Tensor) -> Tensor:
    words = (words ^ _shift(words, 30)) * _MIX_1
    words = (words ^ _shift(words, 27)) * _MIX_2
    return words ^ _shift(words, 31)


def fold(keys: Tensor, data: Tensor | int) -> Tensor:
    """Derives new keys from keys and data (int64, broadcast)."""
    if isinstance(data, int):
        data = torch.tensor(_signed(data), device=keys.device)
    return _mix(keys + _mix(data + _GOLDEN) + _GOLDEN)


def seed_of(*parts: int | str) -> int:
    """A 63-bit seed from integers and names; the same on every machine."""
    text = "\x1f".join(f"{type(part).__name__}:{part}" for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def uniform(keys: Tensor, n: int) -> Tensor:
    """Uniform numbers in [0, 1), ``[..., n]`` float64, for keys ``[...]``."""
    words = fold(keys[..., None], torch.arange(n, device=keys.device))
    return _shift(words, 11).to(torch.float64) * 2.0**-53


def normal(keys: Tensor, n: int) -> Tensor:
    """Standard normal numbers, ``[..., n]`` float64, for keys ``[...]`` (Box-Muller)."""
    pairs = uniform(keys, 2 * n)
    radius = torch.sqrt(-2.0 * torch.log1p(-pairs[..., :n]))
    return radius * torch.cos(2.0 * math.pi * pairs[..., n:])


@dataclass(frozen=True)
class Randomness:
    """An address space of random numbers.

    Attributes:
        seed: The run's seed.
        stream: What the numbers are for ("noise", "time", "rotate"); streams are independent.
        epoch: Epoch of training, or 0.
        draw: Counter within one use, the step of a sampler for example.
    """

    seed: int
    stream: str
    epoch: int = 0
    draw: int = 0

    def at(self, draw: int) -> Randomness:
        """The same address space at another draw."""
        return replace(self, draw=draw)

    def for_stream(self, stream: str) -> Randomness:
        """An independent address space below this one."""
        return replace(self, stream=f"{self.stream}/{stream}")

    def keys(self, batch: Batch) -> Tensor:
        """One key an item, ``[items]`` int64, from the item's own number and view."""
        root = seed_of(self.seed, self.stream, self.epoch, self.draw)
        item = batch["item"].to(torch.int64)
        view = batch["view"].to(torch.int64) if "view" in batch else torch.zeros_like(item)
        return fold(fold(torch.full_like(item, root), item), view)

    def uniform(self, batch: Batch, n: int = 1) -> Tensor:
        """Uniform numbers of each item, ``[items, n]`` float64."""
        return uniform(self.keys(batch), n)

    def normal(self, batch: Batch, n: int = 1) -> Tensor:
        """Standard normal numbers of each item, ``[items, n]`` float64."""
        return normal(self.keys(batch), n)

    def normal_rows(self, batch: Batch, n: int = 3, axis: str = "atom") -> Tensor:
        """Standard normal numbers of each row, in the batch's layout, float64; padded rows are 0."""
        keys = fold(batch.spread(self.keys(batch), axis), batch.position(axis))
        return normal(keys, n) * batch.mask(axis)[..., None]
