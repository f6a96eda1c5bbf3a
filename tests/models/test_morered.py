"""The heads of MoreRed: one time head for both tasks, what is detached, and losses that add up over batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from hydramol.core.batch import Batch
from hydramol.core.protocols import Sums
from hydramol.core.randomness import Randomness
from hydramol.geometry.rotations import random_rotations, rotate_rows
from hydramol.models.gradients import gradient_norm
from hydramol.models.morered import MoreRed
from hydramol.models.postprocess import postprocess
from hydramol.nets.edge_transformer import EdgeTransformer
from hydramol.nets.painn import PaiNN
from hydramol.nets.time_input import TimeInput
from hydramol.transport.discrete_path import DiscretePath
from hydramol.transport.prior import CentredGaussian
from hydramol.transport.transport import Transport
from tests.conftest import random_molecules

STATISTICS = {"position_variance": torch.tensor(1.7)}


def painn() -> PaiNN:
    return PaiNN(16, 2, n_rbf=8, cutoff=5.0, time=TimeInput("head"))


def transformer() -> EdgeTransformer:
    time = TimeInput("head", "sinusoid", 8)
    return EdgeTransformer(n_layers=1, width=16, n_heads=2, n_rbf=8, n_direction=4, readout="both", time=time)


def make(net: Any = None, **options: Any) -> MoreRed:
    torch.manual_seed(0)
    model = MoreRed(
        painn() if net is None else net, Transport(DiscretePath(), CentredGaussian()), statistics=STATISTICS, **options
    )
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.2)
    return model


@pytest.fixture
def batch() -> Batch:
    batch = random_molecules([5, 9, 1, 3], seed=5)
    return batch.with_fields(order=torch.arange(4))


def mean(sums: Sums) -> torch.Tensor:
    return sums.total.sum() / sums.count.sum()


# --- published numbers -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_joint_model_gives_the_published_numbers(golden: Path, dtype: torch.dtype) -> None:
    io = np.load(golden / "morered_painn_c5_io.npz")
    weights = load_file(golden / "morered_painn_c5_weights.safetensors")
    model = make(heads="joint", time_aggregation=None, parametrization="plain", postprocess="none").to(dtype)
    parts = {"net.": "representation.", "noise_head.outnet.": "joint_head.outnet."}
    parts["time_head."] = "joint_head.time_outnet.time_outnet."
    state = {
        ours + name.removeprefix(theirs): value
        for ours, theirs in parts.items()
        for name, value in weights.items()
        if name.startswith(theirs)
    }
    model.load_state_dict(state, strict=True)
    fields = {"z": torch.from_numpy(io["Z"]), "pos": torch.from_numpy(io["R"])}
    batch = Batch(fields, {"atom": torch.from_numpy(io["n_atoms"])})
    noise, time = model.float()(batch["pos"], None, batch)
    np.testing.assert_allclose(noise.detach(), io["joint_eps_pred"], atol=1e-5)
    np.testing.assert_allclose(time.detach(), io["joint_t_pred"], atol=1e-5)


# --- one time head ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("net", [painn, transformer])
def test_joint_model_has_one_time_head_that_both_losses_train(net: Any, batch: Batch) -> None:
    model = make(net(), heads="joint")
    assert [name for name, _ in model.named_modules() if name.endswith("time_head")] == ["time_head"]
    losses, _ = model._losses(batch, "train")
    for name in ("noise", "time"):
        gradients = torch.autograd.grad(mean(losses[name]), list(model.time_head.parameters()), retain_graph=True)
        assert sum(float(one.abs().sum()) for one in gradients) > 0, name


@pytest.mark.parametrize("net", [painn, transformer])
def test_detached_heads_pass_no_gradient(net: Any, batch: Batch) -> None:
    losses, _ = (model := make(net(), heads="joint", detach_time_head=True))._losses(batch, "train")
    gradients = torch.autograd.grad(mean(losses["noise"]), list(model.time_head.parameters()), allow_unused=True)
    assert all(one is None for one in gradients)

    losses, _ = (model := make(net(), heads="joint", detach_representation=True))._losses(batch, "train")
    assert float(gradient_norm(mean(losses["time"]), model.net.parameters())) == 0
    assert float(gradient_norm(mean(losses["time"]), model.time_head.parameters())) > 0
    assert float(gradient_norm(mean(losses["noise"]), model.net.parameters())) > 0


@pytest.mark.parametrize("heads", ["noise", "joint", "time"])
@pytest.mark.parametrize("net", [painn, transformer])
def test_layouts_agree(net: Any, heads: str, batch: Batch) -> None:
    """Flat, padded, wider and reordered batches: the same noise and time of each atom and molecule."""
    model = make(net(), heads=heads)
    told = torch.tensor([3, 700, 20, 999]) if heads == "noise" else None
    noise, time = model(batch["pos"], told, batch)
    order = torch.tensor([2, 3, 0, 1])
    back = torch.argsort(order)
    wide = batch.select(order).to_layout("padded", 12)
    noise_2, time_2 = model(wide["pos"], None if told is None else told[order], wide)
    if heads != "noise":
        torch.testing.assert_close(time_2[back], time, atol=1e-5, rtol=1e-4)
    if heads != "time":
        flat = Batch({"pos": wide.rows(noise_2)}, wide.select(torch.arange(4)).sizes).select(back)["pos"]
        torch.testing.assert_close(flat, noise, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("aggregation", ["avg", None])
def test_time_does_not_turn_with_the_molecule_and_noise_does(aggregation: Any, batch: Batch) -> None:
    model = make(heads="joint", time_aggregation=aggregation)
    rotation = random_rotations(batch, Randomness(1, "turn")).float()
    noise, time = model(batch["pos"], None, batch)
    turned, same = model(rotate_rows(batch["pos"], rotation, batch), None, batch)
    torch.testing.assert_close(same, time, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(turned, rotate_rows(noise, rotation, batch), atol=1e-4, rtol=1e-3)


def test_given_time_replaces_the_predicted_one(batch: Batch) -> None:
    model = make(heads="joint")
    found = model.denoise(batch["pos"], None, batch)
    steps = model.transport.path.unnormalise(found.time.clamp(0, 1))
    again = model.denoise(batch["pos"], steps, batch)
    other = model.denoise(batch["pos"], torch.full_like(steps, 999), batch)
    torch.testing.assert_close(again.x, found.x, atol=5e-2, rtol=0)  # but for the rounding of the time to a step
    assert (other.x - found.x).abs().max() > 0.2
    torch.testing.assert_close(again.time, found.time)


def test_another_model_may_tell_the_time(batch: Batch) -> None:
    denoiser, predictor = make(), make(heads="time")
    with pytest.raises(ValueError, match="time predictor"):
        denoiser.denoise(batch["pos"], None, batch)
    denoiser.time_predictor = predictor.predict_time
    found = denoiser.denoise(batch["pos"], None, batch)
    time = predictor.predict_time(batch["pos"], batch)
    steps = denoiser.transport.path.unnormalise(time.clamp(0, 1))
    torch.testing.assert_close(found.time, time)
    torch.testing.assert_close(found.x, denoiser.denoise(batch["pos"], steps, batch).x)
    assert not any(name.startswith("time_predictor") for name in denoiser.state_dict())
    with pytest.raises(ValueError, match="cannot denoise"):
        predictor.denoise(batch["pos"], None, batch)
    with pytest.raises(ValueError, match="no time head"):
        make().predict_time(batch["pos"], batch)


# --- losses ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("aggregation", ["avg", None])
def test_losses_of_parts_add_up_to_those_of_the_whole(aggregation: Any, batch: Batch) -> None:
    model = make(heads="joint", time_aggregation=aggregation)
    whole, _ = model._losses(batch, "train")
    for name, sums in whole.items():
        parts = [model._losses(batch.select(torch.tensor(items)), "train")[0][name] for items in ([0, 3], [1, 2])]
        torch.testing.assert_close(sums.total.sum(), sum(one.total.sum() for one in parts), rtol=1e-4, atol=1e-4)
        assert sums.count.sum() == sum(one.count.sum() for one in parts) == 3 * 18


def test_joint_loss_is_the_weighted_sum(batch: Batch) -> None:
    model = make(heads="joint", loss_weights={"noise": 2.0, "time": 0.5})
    losses, corrupted = model._losses(batch, "train")
    expected = 2.0 * mean(losses["noise"]) + 0.5 * mean(losses["time"])
    torch.testing.assert_close(model._joined(losses), expected)
    time = model.predict_time(corrupted.x_t, batch)
    error = (time - model.transport.path.normalise(corrupted.t)).square()
    torch.testing.assert_close(mean(losses["time"]), (error * batch.sizes["atom"]).sum() / 18)


def test_gradient_norm_is_that_of_backward_and_leaves_no_trace(batch: Batch) -> None:
    model = make(heads="joint")
    loss = mean(model._losses(batch, "train")[0]["time"])
    norm = gradient_norm(loss, model.parameters())
    assert all(parameter.grad is None for parameter in model.parameters())
    loss.backward()
    found = torch.stack([p.grad.norm() for p in model.parameters() if p.grad is not None]).norm()
    torch.testing.assert_close(norm, found)


# --- post-processing -------------------------------------------------------------------------------------------------


def test_postprocessing(batch: Batch) -> None:
    noise = 3.0 * torch.randn(18, 3, generator=torch.Generator().manual_seed(1))
    noise[0] = 0.0
    assert postprocess(noise, batch, "none", 2.0) is noise
    assert batch.mean(postprocess(noise, batch, "centre", 2.0)).abs().max() < 1e-6
    clipped = postprocess(noise, batch, "clip_norm", 2.0)
    assert float(clipped.norm(dim=-1).max()) == pytest.approx(2.0, rel=1e-5)
    short = noise.norm(dim=-1) < 2.0
    torch.testing.assert_close(clipped[short], noise[short])
    torch.testing.assert_close(torch.linalg.cross(clipped, noise).abs().max(), torch.tensor(0.0), atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    "options",
    [{"heads": "both"}, {"postprocess": "clip"}, {"parametrization": "skip"}, {"loss_weights": {"noise": 1.0}}],
)
def test_options_are_checked(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        make(**options)


def test_rotational_noise_turns_what_is_trained_on_and_nothing_else(batch: Batch) -> None:
    plain, turning = (
        MoreRed(painn(), Transport(DiscretePath(), CentredGaussian(), rotational_noise=on), statistics=STATISTICS)
        for on in (False, True)
    )
    assert not torch.allclose(turning.corrupt(batch, "train").x_t, plain.corrupt(batch, "train").x_t, atol=0.1)
    for one, other in zip(turning.corrupt(batch, "val"), plain.corrupt(batch, "val"), strict=True):
        assert torch.equal(one, other)
