"""PaiNN against published numbers and SchNetPack itself, its symmetries, and its derivatives."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from hydramol.compat.schnetpack import import_schnetpack
from hydramol.core.batch import Batch
from hydramol.core.errors import HydramolError
from hydramol.core.protocols import Features
from hydramol.geometry.neighbours import neighbours
from hydramol.nets.atomwise import Atomwise
from hydramol.nets.equivariant_head import EquivariantHead
from hydramol.nets.painn import PaiNN
from hydramol.nets.rbf import CosineCutoff, GaussianRBF
from hydramol.nets.time_input import WHERE, TimeInput, Where
from hydramol.testing import (
    check_batch_independence,
    check_permutation_equivariance,
    check_rotation_equivariance,
)
from tests.conftest import random_molecules

TIMES = [None, *[(where, kind) for where in WHERE for kind in ("scalar", "sinusoid")]]


def make(time: tuple[Where, str] | None, dtype: torch.dtype = torch.float32) -> tuple[PaiNN, EquivariantHead]:
    """A small net and its noise head with random weights everywhere, also where training starts from zero."""
    torch.manual_seed(0)
    embed = None if time is None else TimeInput(time[0], time[1], n_channels=6)
    net = PaiNN(16, 2, n_rbf=8, cutoff=4.0, time=embed)
    head = net.noise_head()
    for parameter in [*net.parameters(), *head.parameters()]:
        nn.init.normal_(parameter, std=0.3)
    return net.to(dtype), head.to(dtype)


def noise_of(net: PaiNN, head: EquivariantHead):
    return lambda batch, time: head(net(batch, time), batch, time)


# --- the published numbers -------------------------------------------------------------------------------------------


class Golden:
    """Weights, inputs and outputs of one published case."""

    def __init__(self, folder: Path, case: str, dtype: torch.dtype) -> None:
        self.io = np.load(folder / f"morered_painn_{case}_io.npz")
        self.weights = load_file(folder / f"morered_painn_{case}_weights.safetensors")
        self.dtype = dtype
        self.tolerance = 1e-5 if dtype == torch.float32 else 1e-10
        self.batch = Batch(
            {"z": torch.from_numpy(self.io["Z"]), "pos": torch.from_numpy(self.io["R"]).to(dtype)},
            {"atom": torch.from_numpy(self.io["n_atoms"])},
        )
        self.net = PaiNN(
            int(self.io["n_atom_basis"]), 2, int(self.io["n_rbf"]), float(self.io["cutoff"]), time=TimeInput("head")
        )
        self.load(self.net, "representation.")
        self.features = self.net(self.batch)

    def load(self, module: nn.Module, prefix: str) -> nn.Module:
        names = {name.removeprefix(prefix): w for name, w in self.weights.items() if name.startswith(prefix)}
        module.load_state_dict(names, strict=True)
        return module.to(self.dtype)

    def expect(self, name: str, value: Tensor) -> None:
        expected = self.io[name if self.dtype == torch.float32 else f"{name}_float64"]
        np.testing.assert_allclose(value.detach().numpy(), expected, rtol=self.tolerance, atol=self.tolerance)


@pytest.fixture(params=["c5", "c3"])
def case(request) -> str:
    return request.param


@pytest.fixture(params=[torch.float32, torch.float64], ids=["float32", "float64"])
def published(request, golden, case) -> Golden:
    return Golden(golden, case, request.param)


def test_golden_features(published) -> None:
    published.expect("scalar_representation", published.features.scalar)
    published.expect("vector_representation", published.features.vector)


def test_golden_features_from_published_pairs(golden, case) -> None:
    """The published list of all pairs, in its own order, says the same as ours, pruned at the cutoff."""
    published = Golden(golden, case, torch.float32)
    pairs = [torch.from_numpy(published.io[name]) for name in ("idx_i", "idx_j", "r_ij")]
    features = published.net.represent(published.batch["z"], *pairs)
    published.expect("scalar_representation", features.scalar)
    published.expect("vector_representation", features.vector)


def test_golden_noise_head(published) -> None:
    head = published.load(published.net.noise_head(), "noise_head.")
    time = torch.from_numpy(published.io["t_per_atom"]).to(published.dtype)
    published.expect("eps_pred_given_t", head(published.features, published.batch, time))
    first = torch.cumsum(published.batch.sizes["atom"], 0) - published.batch.sizes["atom"]
    published.expect("eps_pred_given_t", head(published.features, published.batch, time[first]))


def test_golden_time_heads(published) -> None:
    for name, output, aggregation in [
        ("time_head_per_atom", "t_pred_per_atom", None),
        ("time_head_avg", "t_pred_avg_per_molecule", "avg"),
    ]:
        head = Atomwise(16, n_layers=3, aggregation=aggregation)
        published.load(head, f"{name}.time_outnet.")
        published.expect(output, head(published.features, published.batch))


def test_golden_joint_head_and_gradients(golden, case) -> None:
    published = Golden(golden, case, torch.float64)
    time_head = published.load(Atomwise(16, n_layers=3, aggregation=None), "joint_head.time_outnet.time_outnet.")
    noise_head = published.net.noise_head()
    prefix = "joint_head.outnet."
    outnet = {name.removeprefix("joint_head."): w for name, w in published.weights.items() if name.startswith(prefix)}
    noise_head.load_state_dict(outnet)
    noise_head.double()
    time = time_head(published.features, published.batch)
    noise = noise_head(published.features, published.batch, time)
    published.expect("joint_t_pred", time)
    published.expect("joint_eps_pred", noise)

    (noise.square().mean() + time.square().mean()).backward()
    ours = {
        **{f"representation.{name}": p for name, p in published.net.named_parameters()},
        **{f"joint_head.{name}": p for name, p in noise_head.named_parameters()},
        **{f"joint_head.time_outnet.time_outnet.{name}": p for name, p in time_head.named_parameters()},
    }
    names = published.io["grad_names"].tolist()
    assert sorted(ours) == sorted(names)
    norms = [float(ours[name].grad.norm()) for name in names]
    np.testing.assert_allclose(norms, published.io["grad_norms_float64"], rtol=1e-8)


def test_golden_radial_functions(golden, case) -> None:
    published = Golden(golden, case, torch.float64)
    pos, idx_i, idx_j = published.batch["pos"], published.io["idx_i"][:200], published.io["idx_j"][:200]
    distance = (pos[idx_j] - pos[idx_i]).norm(dim=-1, keepdim=True)
    radial, cutoff = published.net.radial_basis(distance), published.net.cutoff_fn(distance)
    np.testing.assert_allclose(radial, published.io["rbf_float64"], atol=1e-10)
    np.testing.assert_allclose(cutoff[:, 0], published.io["cutoff_fn_float64"], atol=1e-10)


def test_published_size() -> None:
    """The DDPM of the paper: 2,535,042 parameters with its noise head."""
    net = PaiNN(256, 3, 20, 5.0, time=TimeInput("head"))
    assert sum(p.numel() for p in [*net.parameters(), *net.noise_head().parameters()]) == 2_535_042


# --- SchNetPack ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_equals_schnetpack(shared: bool, dtype: torch.dtype, tolerance: float) -> None:
    try:
        representation, blocks = import_schnetpack("representation"), import_schnetpack("nn")
    except HydramolError as error:
        pytest.skip(str(error))
    torch.manual_seed(1)
    theirs = representation.PaiNN(
        32,
        3,
        blocks.GaussianRBF(20, 5.0),
        blocks.CosineCutoff(5.0),
        shared_interactions=shared,
        shared_filters=shared,
    )
    ours = PaiNN(32, 3, 20, 5.0, shared_interactions=shared, shared_filters=shared)
    assert [(n, p.shape) for n, p in ours.named_parameters()] == [(n, p.shape) for n, p in theirs.named_parameters()]
    ours.load_state_dict(theirs.state_dict(), strict=True)
    batch = random_molecules([6, 1, 11, 4], dtype=dtype)
    idx_i, idx_j, r_ij = neighbours(batch)
    keys = {"_atomic_numbers": batch["z"], "_Rij": r_ij, "_idx_i": idx_i, "_idx_j": idx_j}
    default = torch.get_default_dtype()
    try:
        torch.set_default_dtype(dtype)  # SchNetPack makes its first vectors in the default precision.
        expected = theirs.to(dtype)(keys)
    finally:
        torch.set_default_dtype(default)
    features = ours.to(dtype)(batch)
    torch.testing.assert_close(features.scalar, expected["scalar_representation"], rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(features.vector, expected["vector_representation"], rtol=tolerance, atol=tolerance)


# --- symmetries ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("time", TIMES, ids=str)
def test_turns_with_the_molecule(time) -> None:
    net, head = make(time)
    batch, t = random_molecules([5, 9, 3, 1, 2]), torch.tensor([0.1, 0.9, 0.4, 0.7, 0.2])
    check_rotation_equivariance(noise_of(net, head), batch, t, kind="vector")
    check_rotation_equivariance(lambda b, s: net(b, s).vector, batch, t, kind="vector")
    check_rotation_equivariance(lambda b, s: net(b, s).scalar, batch, t, kind="invariant")


@pytest.mark.parametrize("time", TIMES, ids=str)
def test_follows_the_atoms_and_ignores_batch_mates(time) -> None:
    net, head = make(time)
    batch, t = random_molecules([5, 9, 3, 1, 2]), torch.tensor([0.1, 0.9, 0.4, 0.7, 0.2])
    check_permutation_equivariance(noise_of(net, head), batch, t)
    check_batch_independence(noise_of(net, head), batch, t)


@pytest.mark.parametrize("time", TIMES, ids=str)
def test_time_matters_where_it_enters(time) -> None:
    """Each molecule answers to its own time, and to no other."""
    net, head = make(time)
    batch = random_molecules([5, 9, 3])
    before, after = torch.tensor([0.1, 0.9, 0.4]), torch.tensor([0.1, 0.2, 0.4])
    predict = noise_of(net, head)
    change = batch.sum((predict(batch, after) - predict(batch, before)).abs())[:, 0]
    assert change[0] == change[2] == 0
    assert (change[1] == 0) == (time is None)
    reads = time is not None and time[0] != "head"
    assert torch.equal(net(batch, before).scalar, net(batch, after).scalar) != reads


def test_adaptive_norm_starts_as_the_net_without_time() -> None:
    batch, t = random_molecules([5, 4]), torch.tensor([0.3, 0.8])
    net = PaiNN(16, 2, time=TimeInput("adaln"))
    plain = PaiNN(16, 2)
    plain.load_state_dict(net.state_dict(), strict=False)
    torch.testing.assert_close(net(batch, t).scalar, plain(batch).scalar)
    net(batch, t).scalar.sum().backward()
    assert net.time_modulation[-1].weight.grad.abs().max() > 0


def test_moving_the_whole_molecule_changes_nothing() -> None:
    net, head = make(None, torch.float64)
    batch = random_molecules([5, 9], dtype=torch.float64)
    moved = batch.with_fields(pos=batch["pos"] + torch.tensor([3.0, -2.0, 1.0]))
    torch.testing.assert_close(noise_of(net, head)(moved, None), noise_of(net, head)(batch, None))


# --- reach -----------------------------------------------------------------------------------------------------------


def test_cutoff_is_local_and_smooth() -> None:
    """A third atom that leaves the cutoff fades out with continuous value and slope, and is then forgotten."""
    torch.manual_seed(0)
    net = PaiNN(16, 2, 8, cutoff=4.0).double()

    def feature(x: Tensor) -> Tensor:
        pos = torch.stack([torch.zeros(3, dtype=torch.float64), x * torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)])
        return net(Batch({"z": torch.tensor([6, 8]), "pos": pos}, {"atom": torch.tensor([2])})).scalar[0].sum()

    def value_and_slope(x: float) -> tuple[float, float]:
        point = torch.tensor(x, dtype=torch.float64, requires_grad=True)
        value = feature(point)
        (slope,) = torch.autograd.grad(value, point, allow_unused=True)
        return float(value.detach()), 0.0 if slope is None else float(slope)

    beyond = value_and_slope(4.0)
    assert beyond == value_and_slope(9.0)
    for step in (1e-3, 1e-4):
        value, slope = value_and_slope(4.0 - step)
        assert abs(value - beyond[0]) < 10 * step**2
        assert 0 < abs(slope) < 20 * step


def test_far_atoms_do_not_matter() -> None:
    net, head = make(None)
    near, far = random_molecules([6]), random_molecules([7])
    pos = torch.cat([near["pos"], torch.tensor([[100.0, 0.0, 0.0]])])
    together = replace(far, fields={**far.fields, "z": torch.cat([near["z"], torch.tensor([9])]), "pos": pos})
    torch.testing.assert_close(noise_of(net, head)(together, None)[:6], noise_of(net, head)(near, None))


# --- derivatives -----------------------------------------------------------------------------------------------------


def energy_net(dtype: torch.dtype = torch.float64) -> tuple[PaiNN, Atomwise]:
    torch.manual_seed(0)
    return PaiNN(4, 2, n_rbf=4, cutoff=3.0).to(dtype), Atomwise(4).to(dtype)


def test_second_derivatives_of_energy_and_noise() -> None:
    net, energy = energy_net()
    head = PaiNN.noise_head(net).double()
    batch = random_molecules([3, 1, 2], dtype=torch.float64)

    def outputs(pos: Tensor) -> tuple[Tensor, Tensor]:
        moved = batch.with_fields(pos=pos)
        features = net(moved)
        return energy(features, moved), head(features, moved)

    pos = batch["pos"].clone().requires_grad_()
    assert torch.autograd.gradcheck(outputs, pos)
    assert torch.autograd.gradgradcheck(outputs, pos)


def test_third_order_through_forces() -> None:
    """The distiller's chain: forces, gradient of a force loss in the weights, derivative of that in the positions."""
    net, energy = energy_net()
    batch = random_molecules([3, 1, 2], dtype=torch.float64)
    weight = net.filter_net.weight

    def step_length(pos: Tensor) -> Tensor:
        if not pos.requires_grad:
            pos = pos.detach().requires_grad_()
        moved = batch.with_fields(pos=pos)
        (slope,) = torch.autograd.grad(energy(net(moved), moved).sum(), pos, create_graph=True)
        (step,) = torch.autograd.grad(slope.square().sum(), weight, create_graph=True)
        return step.square().sum()

    pos = batch["pos"].clone().requires_grad_()
    (third,) = torch.autograd.grad(step_length(pos), pos)
    assert third.isfinite().all()
    direction = torch.cos(torch.arange(pos.numel(), dtype=pos.dtype)).view_as(pos)
    h = 1e-5
    slope = (step_length(pos.detach() + h * direction) - step_length(pos.detach() - h * direction)) / (2 * h)
    torch.testing.assert_close((third * direction).sum(), slope.detach(), rtol=1e-5, atol=1e-10)


@pytest.mark.parametrize("sizes", [[1], [1, 1], [2, 1]])
def test_third_order_is_finite_at_zero_vectors(sizes: list[int]) -> None:
    """Single atoms have zero vectors; two atoms in one place have no direction."""
    net, energy = energy_net(torch.float32)
    head = net.noise_head()
    batch = random_molecules(sizes)
    pos = torch.zeros(sum(sizes), 3, requires_grad=True)
    moved = batch.with_fields(pos=pos)
    features = net(moved)
    noise = head(features, moved)
    assert torch.equal(noise, torch.zeros_like(noise))
    total = energy(features, moved).sum() + noise.sum()
    parameters = [*net.parameters(), *energy.parameters(), *head.parameters()]
    slopes = torch.autograd.grad(total, [pos, *parameters], create_graph=True, allow_unused=True)
    for _ in range(2):
        assert all(slope.isfinite().all() for slope in slopes if slope is not None)
        total = sum(slope.square().sum() for slope in slopes if slope is not None)
        slopes = torch.autograd.grad(total, [pos, *parameters], create_graph=True, allow_unused=True)
    assert all(slope.isfinite().all() for slope in slopes if slope is not None)


# --- precision and device --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("time", TIMES, ids=str)
def test_autocast_to_bfloat16(time) -> None:
    net, head = make(time)
    batch, t = random_molecules([5, 9, 1]), torch.tensor([0.1, 0.9, 0.4])
    expected = net(batch, t)
    with torch.autocast("cpu", torch.bfloat16):
        features = net(batch, t)
        noise = head(features, batch, t)
    noise.float().square().sum().backward()
    assert features.scalar.dtype == features.vector.dtype == torch.float32
    torch.testing.assert_close(features.scalar, expected.scalar, rtol=0.1, atol=0.1)
    gradients = [p.grad for p in [*net.parameters(), *head.parameters()]]
    assert all(grad is not None and grad.isfinite().all() for grad in gradients)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
@pytest.mark.parametrize("time", TIMES, ids=str)
def test_cuda_says_the_same(time) -> None:
    net, head = make(time, torch.float64)
    batch, t = random_molecules([5, 9, 1], dtype=torch.float64), torch.tensor([0.1, 0.9, 0.4])
    expected = noise_of(net, head)(batch, t)
    found = noise_of(net.cuda(), head.cuda())(batch.to("cuda"), t.cuda())
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-10, atol=1e-10)


# --- heads and bad input ---------------------------------------------------------------------------------------------


def test_atomwise_in_both_layouts() -> None:
    batch = random_molecules([5, 2, 1])
    flat = Features(torch.randn(8, 6))
    padded = Features(batch.like(flat.scalar, "padded"))
    for aggregation in ("sum", "avg", None):
        head = Atomwise(6, n_layers=3, aggregation=aggregation)
        per_item, on_padded = head(flat, batch), head(padded, batch.to_layout("padded"))
        if aggregation is None:
            on_padded = on_padded[batch.to_layout("padded").mask()]
        torch.testing.assert_close(on_padded, per_item)
    per_atom = Atomwise(6, n_out=2, aggregation=None)
    per_atom.load_state_dict((total := Atomwise(6, n_out=2)).state_dict())
    torch.testing.assert_close(total(flat, batch), batch.sum(per_atom(flat, batch)))


def test_refuses_what_it_cannot_do() -> None:
    batch = random_molecules([3, 2])
    with pytest.raises(ValueError, match="flat"):
        PaiNN(8, 1)(batch.to_layout("padded"))
    with pytest.raises(ValueError, match=r"time\.where=node"):
        PaiNN(8, 1, time=TimeInput("node"))(batch)
    net = PaiNN(8, 1, time=TimeInput())
    with pytest.raises(ValueError, match=r"time\.where=head"):
        net.noise_head()(net(batch), batch)
    with pytest.raises(ValueError, match="vector"):
        net.noise_head()(Features(torch.zeros(5, 8)), batch, torch.zeros(2))
    for wrong in ({"n_atom_basis": 0}, {"n_interactions": 0}, {"n_rbf": 1}, {"cutoff": -1.0}, {"epsilon": 0.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            PaiNN(**{"n_atom_basis": 8, **wrong})
    with pytest.raises(ValueError, match="aggregation"):
        Atomwise(8, aggregation="max")
    with pytest.raises(ValueError, match="n_hidden"):
        Atomwise(8, n_layers=3, n_hidden=[4])


def test_radial_functions_by_hand() -> None:
    radial = GaussianRBF(3, 4.0, trainable=True)
    assert [name for name, _ in radial.named_parameters()] == ["widths", "offsets"]
    expected = np.exp(-0.5 * (np.array([1.0, -1.0, -3.0]) / 2) ** 2)
    np.testing.assert_allclose(radial(torch.tensor([1.0])).detach(), expected, rtol=1e-6)
    np.testing.assert_allclose(CosineCutoff(4.0)(torch.tensor([0.0, 2.0, 4.0, 5.0])), [1, 0.5, 0, 0], atol=1e-7)
