"""Useful share of the cubic cost with size buckets against random batches, and padding against a Python loop.

Sizes are QM9's where qm9pack is installed, otherwise the embedded molecules'. The last line is JSON: ``ratio`` is the
useful share of sum(len * longest^3) with buckets over that with random batches (batch 32, windows of 64 batches);
``pad_ratio`` is the time of a loop over molecules over that of `Batch.to_layout` (batch 128).
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from hydramol.core.batch import Batch
from hydramol.core.errors import DataError
from hydramol.data.batching import BucketPlan, CostPlan, Plan, RandomPlan, padded_cost
from hydramol.data.embedded_molecules import EmbeddedMolecules
from hydramol.data.flat_molecules import FlatMolecules
from hydramol.data.qm9 import QM9


def molecules() -> tuple[str, FlatMolecules]:
    """QM9, or else the embedded molecules."""
    try:
        return "qm9", QM9()
    except DataError:
        return "molecules", EmbeddedMolecules()


def useful_share(plan: Plan, sizes: np.ndarray, epochs: int = 3) -> float:
    """Cost without padding over the cost with it."""
    bound = plan.bind(sizes, seed=0)
    useful = float((sizes.astype(np.float64) ** 3).sum())
    return useful / float(np.mean([padded_cost(sizes, bound.epoch(epoch)) for epoch in range(epochs)]))


def pad_in_a_loop(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """Positions, elements and mask, molecule by molecule."""
    sizes = batch.sizes["atom"].tolist()
    width = max(sizes)
    pos = torch.zeros(len(sizes), width, 3)
    z = torch.zeros(len(sizes), width, dtype=torch.int64)
    mask = torch.zeros(len(sizes), width, dtype=torch.bool)
    start = 0
    for item, size in enumerate(sizes):
        pos[item, :size] = batch["pos"][start : start + size]
        z[item, :size] = batch["z"][start : start + size]
        mask[item, :size] = True
        start += size
    return pos, z, mask


def pad_at_once(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """The same by one scatter a field."""
    padded = batch.to_layout("padded")
    return padded["pos"], padded["z"], padded.mask()


def interleaved(functions: list[Callable[[], object]], repeats: int, calls: int) -> list[float]:
    """Shortest time of a call of each function, measured in turns, seconds."""
    best = [float("inf")] * len(functions)
    for _ in range(repeats):
        for number, function in enumerate(functions):
            start = time.perf_counter()
            for _ in range(calls):
                function()
            best[number] = min(best[number], (time.perf_counter() - start) / calls)
    return best


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=30)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    source, data = molecules()
    sizes = data.sizes["atom"]

    shares = {
        "random": useful_share(RandomPlan(32), sizes),
        "bucket": useful_share(BucketPlan(32, window=64), sizes),
        "bucket, windows of 32": useful_share(BucketPlan(32, window=32), sizes),
        "cubic cost": useful_share(CostPlan(200_000.0), sizes),
    }
    for name, share in shares.items():
        print(f"useful share of the cubic cost, {name}: {share:.3f}")
    start = time.perf_counter()
    n_batches = BucketPlan(32).bind(sizes, seed=1).count(0)
    print(f"planning an epoch of {n_batches} batches: {1e3 * (time.perf_counter() - start):.1f} ms")

    random = np.random.default_rng(0)
    batch = data.gather(torch.from_numpy(random.choice(len(data), 128, replace=False)))
    batch = batch.without("energy", "item")
    for one, other in zip(pad_in_a_loop(batch), pad_at_once(batch), strict=True):
        assert torch.equal(one, other)
    loop, scatter = interleaved([lambda: pad_in_a_loop(batch), lambda: pad_at_once(batch)], repeats, 5)
    print(f"padding 128 molecules: loop {1e3 * loop:.3f} ms, one scatter {1e3 * scatter:.3f} ms")
    items = [(0, int(item)) for item in random.choice(len(data), 32, replace=False)]
    (collate,) = interleaved([lambda: data.__getitems__(items).to_layout("padded")], repeats, 20)
    print(f"gathering and padding 32 molecules: {1e3 * collate:.3f} ms")
    print(
        json.dumps(
            {
                "name": "batching",
                "data": source,
                "ratio": round(shares["bucket"] / shares["random"], 3),
                "bucket_share": round(shares["bucket"], 4),
                "random_share": round(shares["random"], 4),
                "ratio_windows_of_32": round(shares["bucket, windows of 32"] / shares["random"], 3),
                "pad_ratio": round(loop / scatter, 2),
                "pad_loop_ms": round(1e3 * loop, 4),
                "pad_ms": round(1e3 * scatter, 4),
            }
        )
    )


if __name__ == "__main__":
    main()
