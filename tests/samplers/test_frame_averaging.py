"""Frame averaging makes any denoiser turn with the molecule."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hydramol.core.batch import Batch
from hydramol.core.protocols import Denoiser, Output
from hydramol.core.randomness import Randomness
from hydramol.evaluation.equivariance import equivariance_error
from hydramol.geometry.rotations import random_rotations, rotate_rows
from hydramol.nets.edge_transformer import EdgeTransformer
from hydramol.samplers.ddpm import DDPM
from hydramol.samplers.frame_averaging import FrameAveraging
from hydramol.transport.discrete_path import DiscretePath
from hydramol.transport.prior import CentredGaussian
from hydramol.transport.transport import Transport
from tests.conftest import random_molecules

RANDOM = Randomness(0, "frames")
STEPS = torch.tensor([10, 500, 999])


def frame_bound(x: Tensor, t: Tensor | None, condition: Batch) -> Output:
    """A pretended net that knows only the laboratory's axes; its time and logits depend on the orientation too."""
    shift = torch.zeros(len(condition), device=x.device) if t is None else t / 1000
    rows = (
        torch.sin(x) + 0.1 * torch.tanh(x).roll(1, -1) * condition["z"][..., None] + condition.spread(shift)[..., None]
    )
    total = condition.sum(rows)
    return Output(rows * condition.mask()[..., None], total[:, 0], total)


def edge_transformer() -> Denoiser:
    torch.manual_seed(0)
    net = EdgeTransformer(n_layers=2, width=32, n_heads=4, n_rbf=16, n_direction=4, readout="both")
    head = net.noise_head()

    def denoise(x, t, condition):
        batch = condition.with_fields(pos=x)
        inner = batch.to_layout("padded")
        return Output(batch.like(inner.rows(head(net(inner), inner)), batch.layout))

    return denoise


@pytest.mark.parametrize("make", [edge_transformer, lambda: frame_bound], ids=["edge_transformer", "function"])
@pytest.mark.parametrize("layout", ["flat", "padded"])
@torch.no_grad()
def test_the_average_is_equivariant(molecules, make, layout):
    batch, denoise = molecules.to_layout(layout), make()
    plain = equivariance_error(denoise, batch["pos"], STEPS, batch, RANDOM)
    averaged = equivariance_error(FrameAveraging(denoise), batch["pos"], STEPS, batch, RANDOM)
    assert plain.min() > 1e-2
    assert averaged.max() < 1e-4


@pytest.mark.parametrize("t", [STEPS, None])
@torch.no_grad()
def test_times_and_logits_become_invariant(molecules, t):
    averaged = FrameAveraging(frame_bound)
    turned = rotate_rows(molecules["pos"], random_rotations(molecules, RANDOM), molecules)
    one, other = averaged(molecules["pos"], t, molecules), averaged(turned, t, molecules)
    assert torch.allclose(one.time, other.time, atol=1e-4)
    assert torch.allclose(one.logits, other.logits, atol=1e-4)
    assert one.time.shape == (3,)
    assert not torch.allclose(frame_bound(turned, t, molecules).time, frame_bound(molecules["pos"], t, molecules).time)


@torch.no_grad()
def test_an_equivariant_denoiser_stays_what_it_is(molecules):
    def linear(x, t, condition):
        return Output(condition.spread(t / 1000)[..., None] * x)

    found = FrameAveraging(linear)(molecules["pos"], STEPS, molecules)
    assert torch.allclose(found.x, linear(molecules["pos"], STEPS, molecules).x, atol=1e-6)
    assert found.time is None
    assert found.logits is None


@torch.no_grad()
def test_layout_and_company_change_nothing(molecules):
    averaged, padded = FrameAveraging(frame_bound), molecules.to_layout("padded", 12)
    flat = averaged(molecules["pos"], STEPS, molecules).x
    wide = averaged(padded["pos"], STEPS, padded).x
    assert torch.allclose(padded.rows(wide), flat, atol=1e-6)
    assert not wide[~padded.mask()].any()
    some = torch.tensor([2, 0])
    part = molecules.select(some)
    alone = averaged(part["pos"], STEPS[some], part).x
    assert torch.allclose(alone, molecules.with_fields(pos=flat).select(some)["pos"], atol=1e-6)


def test_one_call_on_copies_that_keep_their_numbers_and_vectors(molecules):
    seen = []

    def watch(x, t, condition):
        seen.append((x, t, condition))
        return Output(x)

    batch = molecules.with_fields(forces=molecules["pos"] * 2.0)
    x = batch["pos"] + 0.1
    FrameAveraging(watch)(x, STEPS, batch)
    ((turned, t, copies),) = seen
    assert copies["item"].tolist() == [0, 1, 2] * 4
    assert torch.equal(t, STEPS.repeat(4))
    assert torch.equal(copies["z"], batch["z"].repeat(4))
    assert torch.allclose(copies["forces"], 2.0 * copies["pos"], atol=1e-5)
    assert torch.allclose(turned.norm(dim=-1), x.norm(dim=-1).repeat(4), atol=1e-5)
    FrameAveraging(watch)(x, STEPS, batch.without("pos"))
    assert "pos" not in seen[1][2]


@torch.no_grad()
def test_degenerate_structures_get_finite_answers():
    line = torch.tensor([[0.0, 0, -1], [0, 0, 0], [0, 0, 1.2]])
    fields = {"pos": torch.cat([line[:1], line[:2], line]), "z": torch.ones(6).long(), "item": torch.arange(3)}
    batch = Batch(fields, {"atom": torch.tensor([1, 2, 3])})
    assert FrameAveraging(frame_bound)(batch["pos"], STEPS, batch).x.isfinite().all()


@torch.no_grad()
def test_a_broken_structure_spoils_no_other(molecules):
    broken = molecules["pos"].clone()
    broken[0] = float("inf")
    found = FrameAveraging(frame_bound)(broken, STEPS, molecules).x
    assert torch.equal(found[5:], FrameAveraging(frame_bound)(molecules["pos"], STEPS, molecules).x[5:])


def test_a_chain_of_averaged_steps_turns_with_its_start_and_its_noise():
    """The sampler's own noise is not the wrapper's business: with equal noise, turned, the whole chain turns."""
    batch = random_molecules([6, 9], seed=3).without("pos")
    turn = random_rotations(batch, RANDOM)

    class Turned(CentredGaussian):
        def draw(self, batch, random):
            return rotate_rows(super().draw(batch, random), turn, batch)

    def chain(prior: CentredGaussian, averaging: bool) -> Tensor:
        sampler = DDPM(frame_averaging=averaging)
        return sampler.sample(frame_bound, Transport(DiscretePath(n_steps=20), prior), None, batch, random=RANDOM).x

    def deviation(averaging: bool) -> float:
        straight, other = chain(CentredGaussian(), averaging), chain(Turned(), averaging)
        return (rotate_rows(straight, turn, batch) - other).abs().max().item()

    assert deviation(True) < 1e-3
    assert deviation(False) > 0.1
