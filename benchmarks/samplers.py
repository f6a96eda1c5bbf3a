"""MoreRed-JT whose arrived molecules leave the batch against the same loop that keeps stepping all of them.

64 embedded molecules, published stopping rule. By default a PaiNN with random weights bears the cost while a clock
tells the time: molecule i starts at a step between 1 and ``--longest`` and falls by one a step, as a calibrated model's
does. With ``--ckpt`` a trained joint model tells the time itself, of structures noised to these steps, and the robust
rule ends them. The last line is JSON: ``ratio`` is processor time of the plain loop over that of the sampler,
``difference`` the largest distance between their samples in Angstrom.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from hydramol.core.batch import Batch
from hydramol.core.protocols import Denoiser, Output
from hydramol.core.randomness import Randomness
from hydramol.data.embedded_molecules import EmbeddedMolecules
from hydramol.models.morered import MoreRed
from hydramol.nets.painn import PaiNN
from hydramol.nets.time_input import TimeInput
from hydramol.runtime.checkpoint import find_checkpoint, read_checkpoint
from hydramol.runtime.load import load_model
from hydramol.samplers.morered_adaptive import MoreRedAdaptive
from hydramol.samplers.stopping import StoppingWatch
from hydramol.transport.discrete_path import DiscretePath
from hydramol.transport.prior import CentredGaussian
from hydramol.transport.transport import Transport

RANDOM = Randomness(0, "benchmark")


def molecules(n: int) -> Batch:
    """Some held-out and training molecules of all sizes."""
    data = EmbeddedMolecules()
    batch = data.gather(torch.linspace(0, len(data) - 1, n).long())
    return batch.with_fields(item=torch.arange(n), view=torch.zeros(n).long(), pos=batch["pos"].float())


class Clock:
    """A model that knows the time of each molecule: it falls by one a step, whoever else is there."""

    def __init__(self, model: Any, first: Tensor) -> None:
        self.model, self.first, self.n_calls = model, first, 0

    def __call__(self, x: Tensor, t: Tensor | None, condition: Batch) -> Output:
        """The model's noise with the clock's time; a `Denoiser`."""
        found = self.model.denoise(x, None, condition)
        steps = (self.first[condition["item"]] - self.n_calls).clamp(min=0)
        self.n_calls += 1
        return Output(found.x, self.model.transport.path.normalise(steps))


@torch.no_grad()
def step_all(sampler: MoreRedAdaptive, denoise: Denoiser, transport: Transport, start: Tensor, batch: Batch) -> Tensor:
    """The reference formulation: all molecules are computed until the last has arrived, who has arrived is held."""
    x = transport.prior.project(start.double(), batch)
    watch = StoppingWatch(sampler.rules, x, batch)
    arrived = torch.zeros(len(batch), dtype=torch.bool)
    finishing = arrived
    noise = RANDOM.for_stream("reverse")
    for k in sampler.steps(transport.path.n_steps):
        output = denoise(x.float(), None, batch)
        assert output.time is not None
        t = transport.path.unnormalise(output.time.clamp(0, 1))
        moved = transport.reverse_step(x, output.x, t, batch, noise.at(k), torch.where(finishing, -1, t - 1))
        x = torch.where(batch.spread(arrived)[:, None], x, moved)
        holds = watch.see(t, x, batch)[sampler.stop]
        arrived, finishing = (
            (arrived | finishing, finishing | holds) if sampler.stop == "robust" else (arrived | holds, finishing)
        )
        if bool(arrived.all()):
            break
    return x


def main() -> None:
    """Runs both in turn and prints their times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ckpt", type=Path, help="a joint model's checkpoint or run directory")
    parser.add_argument("--n", type=int, default=64, help="molecules")
    parser.add_argument("--longest", type=int, default=200, help="highest step to start from")
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    batch = molecules(options.n)
    first = torch.linspace(1, options.longest, options.n).round().long()[torch.randperm(options.n, generator=_seed())]
    if options.ckpt is None:
        torch.manual_seed(0)
        net, transport = PaiNN(64, time=TimeInput("head")), Transport(DiscretePath(), CentredGaussian())
        model: Any = MoreRed(net, transport, heads="joint", statistics={"position_variance": torch.tensor(1.7)}).eval()
        sampler = MoreRedAdaptive(max_steps=1000)
    else:
        checkpoint = read_checkpoint(find_checkpoint(options.ckpt))
        model = load_model(checkpoint, checkpoint["hydramol"]["config"])
        sampler = MoreRedAdaptive(max_steps=1000, stop="robust")
    start = model.transport.corrupt(batch["pos"], first, batch, RANDOM).x_t

    def denoiser() -> Denoiser:
        return Clock(model, first) if options.ckpt is None else model.denoise

    plain, compact, difference = [], [], 0.0
    for _ in range(options.repeats):
        began = time.process_time()
        reference = step_all(sampler, denoiser(), model.transport, start, batch)
        plain.append(time.process_time() - began)
        began = time.process_time()
        samples = sampler.sample(denoiser(), model.transport, start, batch, random=RANDOM)
        compact.append(time.process_time() - began)
        difference = max(difference, float((samples.x - reference).norm(dim=-1).max()))
    steps = samples.n_steps.double()
    print(f"{options.n} molecules, {steps.mean():.0f} steps each on average, {int(steps.max())} at most")
    print(f"all are stepped: {min(plain):.2f} s   arrived ones leave: {min(compact):.2f} s")
    ratio = min(plain) / min(compact)
    print(json.dumps({"ratio": round(ratio, 2), "difference": difference, "steps": round(float(steps.mean()), 1)}))


def _seed() -> torch.Generator:
    return torch.Generator().manual_seed(0)


if __name__ == "__main__":
    main()
