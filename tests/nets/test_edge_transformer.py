"""The EdgeTransformer: symmetries, padding, its lean attention, the ways of time, and safe gradients."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from hydramol.core.batch import Batch
from hydramol.nets.edge_transformer import EdgeTransformer
from hydramol.nets.edge_transformer.electron_configuration import electron_configuration, electron_table
from hydramol.nets.edge_transformer.pair_embedding import direction_features, displacements
from hydramol.nets.edge_transformer.triangular_attention import dense_attention, lean_attention
from hydramol.nets.time_input import WHERE, TimeInput
from tests.conftest import random_molecules


class Denoiser(nn.Module):
    """A backbone with its head."""

    def __init__(self, **options) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = EdgeTransformer(
            **{"n_layers": 2, "width": 32, "n_heads": 4, "n_rbf": 16, "n_direction": 4, **options}
        )
        self.head = self.net.noise_head()

    def forward(self, batch: Batch, time: Tensor | None = None) -> Tensor:
        return self.head(self.net(batch, time), batch, time)


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def value_and_gradients(
    model: nn.Module, batch: Batch, time: Tensor | None = None
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Vectors and position gradients of real rows, and parameter gradients, of a loss over real atoms."""
    batch = batch.with_fields(pos=batch["pos"].clone().requires_grad_())
    vectors = model(batch, time)
    assert not vectors[~batch.mask()].any()
    weight = torch.sin(batch["z"].to(vectors.dtype))[..., None]  # unlike for unlike atoms, and moves with them
    wanted = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    grads = torch.autograd.grad((weight * vectors).square().sum(), [batch["pos"], *wanted.values()], allow_unused=True)
    grads = [torch.zeros(1) if grad is None else grad for grad in grads]
    return batch.rows(vectors.detach()), batch.rows(grads[0]), grads[1:]


def assert_close(left: Tensor, right: Tensor, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(left, right, rtol=tolerance, atol=tolerance * max(1.0, float(right.abs().max())))


# --- attention -------------------------------------------------------------------------------------------------------


def attention_inputs(items: int, atoms: int, heads: int, channels: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    qkvw = torch.randn(items, atoms, atoms, 4, heads, channels, generator=generator, dtype=torch.float64)
    mask = torch.arange(atoms) < torch.randint(1, atoms + 1, (items, 1), generator=generator)
    grad = torch.randn(items, atoms, atoms, heads, channels, generator=generator, dtype=torch.float64)
    return qkvw.requires_grad_(), mask, grad


def test_dense_attention_is_the_published_sum() -> None:
    qkvw, mask, _ = attention_inputs(2, 4, 3, 5)
    out = dense_attention(qkvw, mask)
    query, key, first, second = (part.detach() for part in qkvw.unbind(3))
    for item, x, y, head in [(0, 0, 3, 1), (1, 2, 1, 2)]:
        atoms = range(int(mask[item].sum()))
        scores = [float(query[item, x, a, head] @ key[item, a, y, head]) / math.sqrt(5) for a in atoms]
        total = sum(map(math.exp, scores))
        expected = sum(
            math.exp(score) / total * first[item, x, a, head] * second[item, a, y, head]
            for a, score in zip(atoms, scores, strict=True)
        )
        torch.testing.assert_close(out[item, x, y, head], expected)


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 3), st.integers(1, 7), st.integers(1, 3), st.integers(1, 5), st.integers(0, 99))
def test_lean_attention_equals_the_formula(items: int, atoms: int, heads: int, channels: int, seed: int) -> None:
    qkvw, mask, grad = attention_inputs(items, atoms, heads, channels, seed)
    dense, lean = dense_attention(qkvw, mask), lean_attention(qkvw, mask)
    torch.testing.assert_close(lean, dense, rtol=1e-10, atol=1e-10)
    (dense_grad,) = torch.autograd.grad(dense, qkvw, grad)
    (lean_grad,) = torch.autograd.grad(lean, qkvw, grad)
    torch.testing.assert_close(lean_grad, dense_grad, rtol=1e-10, atol=1e-10)
    single = lean_attention(qkvw.detach().float(), mask)
    torch.testing.assert_close(single, dense_attention(qkvw.detach().float(), mask), rtol=1e-6, atol=1e-6)


def test_lean_attention_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of rows that do not divide the atoms change nothing."""
    from hydramol.nets.edge_transformer import triangular_attention as module

    qkvw, mask, grad = attention_inputs(2, 7, 2, 3)
    whole = lean_attention(qkvw, mask)
    (whole_grad,) = torch.autograd.grad(whole, qkvw, grad)
    monkeypatch.setattr(module, "_BUFFER", 3 * 7 * 3 * 4)  # three rows of seven
    parts = lean_attention(qkvw, mask)
    (parts_grad,) = torch.autograd.grad(parts, qkvw, grad)
    assert torch.equal(parts, whole)
    assert torch.equal(parts_grad, whole_grad)


def test_lean_attention_gradcheck() -> None:
    qkvw, mask, _ = attention_inputs(2, 3, 2, 2)
    assert torch.autograd.gradcheck(lambda value: lean_attention(value, mask), qkvw)
    torch.library.opcheck(lean_attention, (qkvw, mask))


def test_lean_attention_never_makes_the_tensor_of_triples() -> None:
    """No tensor of either pass reaches a tenth of items x atoms^3 x width."""
    from torch.utils._python_dispatch import TorchDispatchMode

    largest = {"numel": 0}

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            for tensor in out if isinstance(out, tuple | list) else [out]:
                if isinstance(tensor, Tensor):
                    largest["numel"] = max(largest["numel"], tensor.numel())
            return out

    items, atoms, heads, channels = 2, 24, 2, 12
    qkvw, mask, grad = attention_inputs(items, atoms, heads, channels)
    triples = items * atoms**3 * heads * channels
    for attention, lean in ((lean_attention, True), (dense_attention, False)):
        largest["numel"] = 0
        with Watch():
            torch.autograd.grad(attention(qkvw, mask), qkvw, grad)
        # The lean one's largest are the input's gradient (4 a pair) and the weights (atoms^3 heads).
        assert (largest["numel"] < triples / 5) is lean


# --- symmetries ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("readout", ["node", "pair", "both"])
@pytest.mark.parametrize("where", WHERE)
def test_padding_changes_nothing(readout: str, where: str) -> None:
    model = Denoiser(readout=readout, time=TimeInput(where))
    awaken(model)
    flat = random_molecules([5, 9, 3, 1, 2])
    time = torch.rand(5)
    value, grad, weights = value_and_gradients(model, flat.to_layout("padded"), time)
    wide_value, wide_grad, wide_weights = value_and_gradients(model, flat.to_layout("padded", width=14), time)
    assert_close(wide_value, value)
    assert_close(wide_grad, grad)
    for wide, narrow in zip(wide_weights, weights, strict=True):
        assert_close(wide, narrow)
    alone = [
        value_and_gradients(model, flat.select(torch.tensor([item])).to_layout("padded"), time[item : item + 1])
        for item in range(5)
    ]
    assert_close(torch.cat([each[0] for each in alone]), value)
    assert_close(torch.cat([each[1] for each in alone]), grad)


@pytest.mark.parametrize("readout", ["node", "pair", "both"])
def test_permutation_equivariance(readout: str) -> None:
    model = Denoiser(readout=readout)
    flat = random_molecules([5, 9, 3])
    order = torch.cat([torch.randperm(5), 5 + torch.randperm(9), 14 + torch.randperm(3)])
    shuffled = flat.with_fields(z=flat["z"][order], pos=flat["pos"][order])
    value, grad, weights = value_and_gradients(model, flat.to_layout("padded"))
    other_value, other_grad, other_weights = value_and_gradients(model, shuffled.to_layout("padded"))
    assert value.abs().max() > 1e-2
    assert_close(other_value, value[order])
    assert_close(other_grad, grad[order])
    for other, weight in zip(other_weights, weights, strict=True):
        assert_close(other, weight)


def test_translation_invariance() -> None:
    model = Denoiser(readout="both").double()
    flat = random_molecules([5, 9, 3], dtype=torch.float64)
    shift = flat.spread(torch.randn(3, 3, dtype=torch.float64))
    value, grad, _ = value_and_gradients(model, flat.to_layout("padded"))
    moved = flat.with_fields(pos=flat["pos"] + shift).to_layout("padded")
    other_value, other_grad, _ = value_and_gradients(model, moved)
    assert_close(other_value, value, 1e-9)
    assert_close(other_grad, grad, 1e-9)


def rotation(dtype: torch.dtype) -> Tensor:
    turn, _ = torch.linalg.qr(torch.randn(3, 3, dtype=dtype, generator=torch.Generator().manual_seed(3)))
    return turn * torch.linalg.det(turn)


@pytest.mark.parametrize(("n_direction", "equivariant"), [(0, True), (4, False)])
def test_rotation_is_learnt_unless_directions_are_left_out(n_direction: int, equivariant: bool) -> None:
    model = Denoiser(readout="pair", n_direction=n_direction).double()
    batch = random_molecules([5, 9], dtype=torch.float64).to_layout("padded")
    turn = rotation(torch.float64)
    turned = model(batch.with_fields(pos=batch["pos"] @ turn.T))
    assert torch.allclose(turned, model(batch) @ turn.T, atol=1e-9) is equivariant


# --- degenerate geometry ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [[1], [2], [1, 2, 4]])
@pytest.mark.parametrize("readout", ["node", "pair", "both"])
def test_small_molecules_are_finite(sizes: list[int], readout: str) -> None:
    value, grad, weights = value_and_gradients(Denoiser(readout=readout), random_molecules(sizes).to_layout("padded"))
    assert all(torch.isfinite(tensor).all() for tensor in (value, grad, *weights))


def test_coincident_atoms_and_the_polar_axis_have_finite_gradients() -> None:
    batch = random_molecules([4]).to_layout("padded")
    line = torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, 1.2], [0.0, 0.0, -1.0], [0.0, 0.0, 1.2]])
    value, grad, weights = value_and_gradients(Denoiser(readout="both"), batch.with_fields(pos=line[None]))
    assert all(torch.isfinite(tensor).all() for tensor in (value, grad, *weights))


def test_direction_features_are_the_harmonics_of_the_angles() -> None:
    unit = nn.functional.normalize(torch.randn(50, 3, dtype=torch.float64), dim=-1)
    azimuth, polar = torch.atan2(unit[:, 1], unit[:, 0]), torch.acos(unit[:, 2])
    m = torch.arange(1, 6)
    sines = torch.sin(polar)[:, None] ** m
    expected = torch.cat(
        [
            sines * torch.cos(m * azimuth[:, None]),
            sines * torch.sin(m * azimuth[:, None]),
            torch.cos(m * polar[:, None]),
        ],
        dim=-1,
    )
    torch.testing.assert_close(direction_features(unit, 5), expected)
    assert not direction_features(torch.zeros(3), 5).any()


def test_gradients_of_the_geometry() -> None:
    positions = random_molecules([4], dtype=torch.float64)["pos"][None].requires_grad_()

    def features(value: Tensor) -> Tensor:
        pairs = displacements(value)
        return torch.cat([pairs.distance[..., None], pairs.unit, direction_features(pairs.unit, 4)], -1)[
            :, ~torch.eye(4).bool()
        ]

    assert torch.autograd.gradcheck(features, positions)


# --- what a net is told ----------------------------------------------------------------------------------------------


def awaken(model: nn.Module) -> None:
    """Gives the adaptive norms, which start at zero, some weights."""
    for name, parameter in model.named_parameters():
        if "modulation" in name:
            nn.init.normal_(parameter, std=0.1)


@pytest.mark.parametrize("kind", ["scalar", "sinusoid"])
@pytest.mark.parametrize("where", WHERE)
def test_time_changes_the_output(where: str, kind: str) -> None:
    model = Denoiser(time=TimeInput(where, kind), readout="both")
    awaken(model)
    batch = random_molecules([5, 9]).to_layout("padded")
    early, late = model(batch, torch.tensor([0.1, 0.5])), model(batch, torch.tensor([0.1, 0.8]))
    torch.testing.assert_close(early[0], late[0])
    assert (early[1] - late[1]).abs().max() > 1e-4
    with pytest.raises(ValueError, match="time of each molecule"):
        model(batch)


def test_adaptive_norm_starts_as_none() -> None:
    batch = random_molecules([5, 9]).to_layout("padded")
    model = Denoiser(time=TimeInput("adaln"))
    plain = Denoiser()
    plain.load_state_dict(model.state_dict(), strict=False)
    torch.testing.assert_close(model(batch, torch.rand(2)), plain(batch))


def test_charge_and_multiplicity() -> None:
    model = Denoiser()
    batch = random_molecules([5, 9]).to_layout("padded")
    told = batch.with_fields(charge=torch.tensor([0, 0]), multiplicity=torch.tensor([1, 1]))
    torch.testing.assert_close(model(told), model(batch))
    for change in ({"charge": torch.tensor([0, -1])}, {"multiplicity": torch.tensor([1, 3])}):
        changed = model(told.with_fields(**change))
        torch.testing.assert_close(changed[0], model(batch)[0])
        assert (changed[1] - model(batch)[1]).abs().max() > 1e-4


def test_elements_differ_from_the_start() -> None:
    batch = random_molecules([6]).to_layout("padded")
    other = batch.with_fields(z=batch["z"].roll(1, dims=1))
    model = Denoiser()
    assert (model(batch) - model(other)).abs().max() > 1e-2


@pytest.mark.parametrize(
    ("z", "expected"), [(6, {"2s": 2, "2p": 2}), (24, {"4s": 1, "3d": 5}), (46, {"5s": 0, "4d": 10})]
)
def test_electron_configurations(z: int, expected: dict[str, int]) -> None:
    shells = electron_configuration(z)
    assert {shell: shells[shell] for shell in expected} == expected


def test_electron_table() -> None:
    assert all(sum(electron_configuration(z).values()) == z for z in range(101))
    table = electron_table()
    assert table.shape == (101, 22)
    assert table.min() >= 0
    assert len(torch.unique(table, dim=0)) == 101
    torch.testing.assert_close(table[9, 18:20], torch.tensor([1.0, 5 / 6]))  # fluorine: 2s2 2p5 outside helium


# --- machinery -------------------------------------------------------------------------------------------------------


def test_published_size() -> None:
    """4,561,250 parameters were published; ours have the same layers.

    The rest differs: charge and multiplicity are two linear maps instead of tables, directions have 48 instead of 256
    Fourier features, distances no affine map for each type of edge.
    """
    net = EdgeTransformer()
    assert parameters(net.layers) == 12 * (5 * 192**2 + (2 * 192 * 384 + 384 + 192) + 3 * 2 * 192)
    assert parameters(net) + parameters(net.noise_head()) == pytest.approx(4_561_250, rel=0.05)


def test_activation_checkpointing_changes_nothing() -> None:
    batch = random_molecules([5, 9]).to_layout("padded")
    kept, remade = Denoiser(readout="both"), Denoiser(readout="both", checkpoint_activations=True)
    for left, right in zip(value_and_gradients(kept, batch)[2], value_and_gradients(remade, batch)[2], strict=True):
        torch.testing.assert_close(left, right)


def test_dense_attention_gives_the_same_net() -> None:
    batch = random_molecules([5, 9]).to_layout("padded")
    lean, dense = Denoiser(readout="both"), Denoiser(readout="both", attention="dense")
    for left, right in zip(value_and_gradients(lean, batch), value_and_gradients(dense, batch), strict=True):
        for one, other in zip(left, right, strict=True):
            assert_close(one, other)


@pytest.mark.parametrize("where", ["head", "adaln"])
def test_bfloat16_autocast(where: str) -> None:
    model = Denoiser(readout="both", time=TimeInput(where, "sinusoid"))
    batch = random_molecules([5, 9]).to_layout("padded")
    time = torch.rand(2)
    exact = model(batch, time)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = model(batch, time)
        loss = rough.float().square().mean()
    loss.backward()
    assert (rough - exact).abs().max() < 0.1 * exact.abs().max()
    assert all(torch.isfinite(parameter.grad).all() for parameter in model.parameters() if parameter.grad is not None)


def test_compiles_without_a_break() -> None:
    """Through dynamo and autograd's tracing; no compiler of C++ is asked for."""
    model = Denoiser(readout="both", time=TimeInput("pair"))
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    batch = random_molecules([5, 9]).to_layout("padded")
    time = torch.rand(2)
    expected, result = model(batch, time), compiled(batch, time)
    torch.testing.assert_close(result, expected)
    expected_grad = torch.autograd.grad(expected.square().sum(), list(model.net.pairs.parameters()))
    result_grad = torch.autograd.grad(result.square().sum(), list(model.net.pairs.parameters()))
    for left, right in zip(result_grad, expected_grad, strict=True):
        torch.testing.assert_close(left, right)


def test_state_dict_holds_parameters_alone() -> None:
    model = Denoiser()
    assert set(model.state_dict()) == {name for name, _ in model.named_parameters()}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_layers": 0}, "n_layers"),
        ({"width": 30}, "divisible"),
        ({"readout": "edge"}, "readout"),
        ({"attention": "flash"}, "attention"),
        ({"max_z": 119}, "max_z"),
        ({"n_direction": -1}, "n_direction"),
    ],
)
def test_wrong_options_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Denoiser(**options)


def test_flat_batches_are_refused() -> None:
    with pytest.raises(ValueError, match="padded"):
        Denoiser()(random_molecules([3]))


# --- molecules of one size -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attention", ["lean", "dense"])
@pytest.mark.parametrize("readout", ["node", "pair", "both"])
def test_dense_batches_need_no_mask(attention, readout, monkeypatch):
    """Values and gradients are those of the masked net, and no mask is made."""
    model = Denoiser(attention=attention, readout=readout)
    batch = random_molecules([6, 6, 6]).to_layout("padded")
    assert batch.dense
    masked = replace(batch, dense=False)
    expected = value_and_gradients(model, masked)
    found = value_and_gradients(model, batch)
    assert_close(found[0], expected[0], 1e-6)
    assert_close(found[1], expected[1], 1e-6)
    for one, other in zip(found[2], expected[2], strict=True):
        assert_close(one, other, 1e-5)
    monkeypatch.setattr(Batch, "mask", lambda *_: pytest.fail("a mask was made"))
    with torch.no_grad():
        model(batch)


def test_attention_without_a_mask_is_attention_with_a_full_one():
    qkvw = torch.randn(2, 5, 5, 4, 3, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    full = torch.ones(2, 5, dtype=torch.bool)
    for form in (lean_attention, dense_attention):
        outs = [form(qkvw, mask) for mask in (None, full)]
        assert torch.equal(*outs)
        grads = [torch.autograd.grad(out.sin().sum(), qkvw)[0] for out in outs]
        assert torch.equal(*grads)
