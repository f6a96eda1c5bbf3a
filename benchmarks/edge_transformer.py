"""Training steps of the EdgeTransformer: lean attention on bucketed batches against the formula on random batches.

4 layers, width 192, 12 heads, batch 16, molecules as large as QM9's; forward, backward and an AdamW step on the error
of predicted noise. Three variants:

- ``bucketed``: batches of like size, lean attention;
- ``batch_max``: random batches padded to their largest molecule, attention with the tensor of all triples;
- ``data_max``: the same padded to the largest molecule of the data set, 29 atoms.

Time is processor time, which other work on the machine hardly changes, over batches spread evenly over one epoch.
Memory is the peak of the epoch's largest batch, in a process of its own whose allocator returns what is freed at once.
The last line is JSON: ``ratio`` and ``ratio_batch_max`` are how many times quicker a molecule is than in ``data_max``
and ``batch_max``, ``memory_ratio`` how many times lower the peak is than that of ``data_max``.

    python benchmarks/edge_transformer.py
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time

import numpy as np
import torch

from hydramol.core.batch import Batch
from hydramol.nets.edge_transformer import EdgeTransformer

BATCH = 16
N_BATCHES = 64
# Atoms of QM9's molecules at these quantiles, counted over all 130,831.
QUANTILES = {0.0: 3, 0.01: 11, 0.25: 16, 0.5: 18, 0.75: 20, 0.99: 25, 1.0: 29}
LARGEST = 29
# Batches timed of an epoch: few of the slow variants, whose batches are all alike.
TIMED = {"bucketed": 8, "batch_max": 4, "data_max": 1}
REPEATS = 2


def sizes_of_epoch(variant: str, seed: int = 0) -> np.ndarray:
    """Atoms of the molecules of each batch, ``[batches, molecules]``."""
    rng = np.random.default_rng(seed)
    draw = np.interp(rng.random(BATCH * N_BATCHES), list(QUANTILES), list(QUANTILES.values()))
    sizes = np.rint(draw).astype(int)
    return (np.sort(sizes) if variant == "bucketed" else sizes).reshape(N_BATCHES, BATCH)


def make_batch(sizes: np.ndarray, width: int | None, generator: torch.Generator) -> Batch:
    """Random atoms, padded."""
    n = int(sizes.sum())
    elements = torch.tensor([1, 6, 7, 8, 9])[torch.randint(5, (n,), generator=generator)]
    fields = {"z": elements, "pos": 1.5 * torch.randn(n, 3, generator=generator)}
    return Batch(fields, {"atom": torch.from_numpy(sizes)}).to_layout("padded", width=width)


class Trainer:
    """A net and what its training step needs."""

    def __init__(self, variant: str) -> None:
        torch.manual_seed(0)
        attention = "lean" if variant == "bucketed" else "dense"
        self.net = EdgeTransformer(n_layers=4, width=192, n_heads=12, attention=attention)
        self.head = self.net.noise_head()
        self.optimizer = torch.optim.AdamW([*self.net.parameters(), *self.head.parameters()], lr=1e-4)
        self.generator = torch.Generator().manual_seed(0)
        self.epoch = sizes_of_epoch(variant)
        self.width = LARGEST if variant == "data_max" else None
        self.step(np.array([3, 3]), None)  # makes the optimiser's state, and torch load what it loads late

    def step(self, sizes: np.ndarray, width: int | None) -> float:
        """Processor seconds of a step on one batch: error of the noise, gradients, AdamW."""
        batch = make_batch(sizes, width, self.generator)
        noise = torch.randn(batch["pos"].shape, generator=self.generator)
        start = time.process_time()
        self.optimizer.zero_grad()
        error = (self.head(self.net(batch), batch) - noise) * batch.mask()[..., None]
        (error.square().sum() / (3 * batch.n_rows())).backward()
        self.optimizer.step()
        return time.process_time() - start


def seconds(variant: str) -> float:
    """Processor seconds a molecule."""
    trainer = Trainer(variant)
    chosen = trainer.epoch[np.linspace(0, N_BATCHES - 1, TIMED[variant] + 2).round().astype(int)[1:-1]]
    trainer.step(chosen[0], trainer.width)
    best = [min(trainer.step(sizes, trainer.width) for _ in range(REPEATS)) for sizes in chosen]
    return sum(best) / chosen.size


def mebibytes(variant: str) -> float:
    """Peak memory of a step on the epoch's largest batch, above that of the process with its net."""
    trainer = Trainer(variant)
    baseline = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    largest = trainer.epoch[trainer.epoch.max(1).argmax()]
    for _ in range(2):
        trainer.step(largest, trainer.width)
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - baseline) / 1024  # Linux counts KiB


def in_own_process(quantity: str, variant: str) -> float:
    """Runs one measurement of this script in a fresh process."""
    # glibc: blocks from 1 MB are given back when freed, so that the peak is that of tensors, not of the heap's holes.
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "1000000"} if quantity == "mebibytes" else None
    command = [sys.executable, __file__, quantity, variant]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    return float(done.stdout.split()[-1])


def main() -> None:
    """Runs the variants and prints the comparison."""
    parser = argparse.ArgumentParser(description="benchmark of the EdgeTransformer's training step")
    parser.add_argument("quantity", nargs="?", choices=["seconds", "mebibytes"], help="measure one, in this process")
    parser.add_argument("variant", nargs="?", choices=list(TIMED))
    arguments = parser.parse_args()
    if arguments.variant:
        print({"seconds": seconds, "mebibytes": mebibytes}[arguments.quantity](arguments.variant))
        return
    second, peak = {}, {}
    for variant in TIMED:
        second[variant] = in_own_process("seconds", variant)
        peak[variant] = in_own_process("mebibytes", variant)
        print(f"{variant:10s} {1e3 * second[variant]:7.1f} ms a molecule {peak[variant]:6.0f} MiB peak", flush=True)
    result: dict[str, float | str] = {
        "name": "edge_transformer",
        "ratio": round(second["data_max"] / second["bucketed"], 2),
        "ratio_batch_max": round(second["batch_max"] / second["bucketed"], 2),
        "memory_ratio": round(peak["data_max"] / peak["bucketed"], 2),
    }
    result |= {f"seconds_per_molecule_{variant}": round(value, 5) for variant, value in second.items()}
    result |= {f"peak_mib_{variant}": round(value) for variant, value in peak.items()}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
