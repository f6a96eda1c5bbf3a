"""Learning itself is tested: eight molecules must be learnt in about a minute."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from hydramol.core.batch import Batch
from hydramol.core.randomness import Randomness
from hydramol.data.embedded_molecules import EmbeddedMolecules
from hydramol.data.transforms import Rotate
from hydramol.evaluation.denoising import denoising_table, noise_loss_table
from hydramol.evaluation.time_prediction import time_errors
from hydramol.models.morered import Heads, MoreRed
from hydramol.nets.edge_transformer import EdgeTransformer
from hydramol.nets.painn import PaiNN
from hydramol.nets.time_input import TimeInput
from hydramol.samplers.ddpm import DDPM
from hydramol.samplers.morered_adaptive import MoreRedAdaptive
from hydramol.transport.discrete_path import DiscretePath
from hydramol.transport.linear_guess import position_variance
from hydramol.transport.prior import CentredGaussian
from hydramol.transport.transport import Transport

N_VIEWS = 6


def eight_molecules() -> Batch:
    """Eight molecules of six or seven heavy atoms, in several views."""
    data = EmbeddedMolecules(max_heavy_atoms=7)
    some = data.splits["train"][:: len(data.splits["train"]) // 8][:8]
    batch = data.gather(torch.from_numpy(some).repeat(N_VIEWS))
    n = len(batch)
    return batch.with_fields(
        item=torch.arange(8).repeat(N_VIEWS), view=torch.arange(n) // 8, order=torch.arange(n), pos=batch["pos"].float()
    )


def learn(net: torch.nn.Module, batch: Batch, n_steps: int, lr: float, heads: Heads = "noise") -> MoreRed:
    """Trains with noise and rotations that are new at every step."""
    torch.manual_seed(0)
    model = MoreRed(
        net,  # type: ignore[arg-type]
        Transport(DiscretePath(), CentredGaussian(), stratified=True),
        statistics={"position_variance": torch.tensor(position_variance(batch["pos"], batch))},
        heads=heads,
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, n_steps, pct_start=0.1)
    for step in range(n_steps):
        turned = replace(Rotate()(batch, Randomness(0, "rotate", step)), key=(step, 0)).to_layout(net.layout)
        losses, _ = model._losses(turned, "train")
        optimizer.zero_grad()
        model._joined(losses).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return model.eval()


@pytest.mark.slow
def test_painn_brings_structures_back() -> None:
    torch.manual_seed(0)
    batch = eight_molecules()
    model = learn(PaiNN(n_atom_basis=64, time=TimeInput("node", "sinusoid")), batch, 1000, 1e-3)
    [found] = denoising_table(model.denoise, model.transport, DDPM(), [batch], [200], Randomness(1, "test"))
    assert found.before.median() > 0.35
    assert found.after.median() < 0.3


@pytest.mark.slow
def test_edge_transformer_learns_the_noise() -> None:
    torch.manual_seed(0)
    batch = eight_molecules()
    time = TimeInput("adaln", "sinusoid")
    net = EdgeTransformer(n_layers=3, width=48, n_heads=4, n_rbf=32, n_direction=4, readout="both", time=time)
    model = learn(net, batch, 300, 3e-3)
    padded = batch.to_layout("padded")
    overall = noise_loss_table(model.denoise, model.transport, [padded], model.linear_guess, Randomness(1, "test"))[0]
    assert overall.model < 0.8 * overall.linear


@pytest.mark.slow
def test_joint_painn_relaxes_structures_it_is_told_no_time_of() -> None:
    torch.manual_seed(0)
    batch = eight_molecules()
    model = learn(PaiNN(n_atom_basis=64, time=TimeInput("head")), batch, 600, 2e-3, "joint")
    errors = time_errors(model.predict_time, model.transport, [batch], Randomness(1, "test"))
    assert errors.between(0, 1000)[1] < 120  # steps; 250 would be a guess in the middle
    one_view = batch.select(torch.arange(8))
    sampler = MoreRedAdaptive(max_steps=400, stop="robust")
    [found] = denoising_table(model.denoise, model.transport, sampler, [one_view], [150], Randomness(1, "test"))
    assert found.after.mean() < 0.6 * found.before.mean()


@pytest.mark.slow
def test_joint_edge_transformer_learns_noise_and_time() -> None:
    """Slowly: its time head has a tenth of the loss. Told nothing, the ratio would be 1 and the error 250 steps."""
    torch.manual_seed(0)
    batch = eight_molecules()
    time = TimeInput("head")
    net = EdgeTransformer(n_layers=3, width=48, n_heads=4, n_rbf=32, n_direction=4, readout="both", time=time)
    model = learn(net, batch, 300, 2e-3, "joint")
    padded = batch.to_layout("padded")
    overall = noise_loss_table(model.denoise, model.transport, [padded], model.linear_guess, Randomness(1, "test"))[0]
    assert overall.model < 0.98 * overall.linear
    errors = time_errors(model.predict_time, model.transport, [padded], Randomness(1, "test"))
    assert errors.between(0, 1000)[1] < 205
