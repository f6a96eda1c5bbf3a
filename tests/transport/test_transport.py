"""Times, noising, losses and views."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hydramol.core.batch import Batch
from hydramol.core.randomness import Randomness
from hydramol.geometry.centring import centre
from hydramol.transport.discrete_path import DiscretePath
from hydramol.transport.prior import CentredGaussian
from hydramol.transport.transport import Transport

PATH = DiscretePath()


class Scripted(CentredGaussian):
    """A prior whose draws are given, in order."""

    def __init__(self, *rows):
        self.rows = list(rows)

    def draw(self, batch, random):
        return self.project(torch.as_tensor(self.rows.pop(0)), batch)


def make(prior=None, path=PATH, **options):
    return Transport(path, prior or CentredGaussian(), **options)


def items(count: int, size: int = 1, key: tuple[int, int] = (0, 0)) -> Batch:
    fields = {"item": torch.arange(count), "order": torch.arange(count)}
    return Batch(fields, {"atom": torch.full((count,), size)}, key=key)


# --- against the published process ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def process(golden):
    data = dict(np.load(golden / "morered_process.npz"))
    sizes = torch.from_numpy(data["n_atoms"])
    batch = Batch({"pos": torch.from_numpy(data["R"]), "item": torch.arange(len(sizes))}, {"atom": sizes})
    first = torch.cumsum(sizes, 0) - sizes
    return data, batch, torch.from_numpy(data["t_per_atom"])[first]


def close(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("schedule", ["polynomial", "cosine", "linear"])
@pytest.mark.parametrize("variance", ["lower_bound", "upper_bound"])
def test_published_process(process, schedule, variance):
    data, batch, t = process
    path = DiscretePath(schedule, variance=variance)
    transport = make(Scripted(data["noise_raw"], data["noise_raw"]), path)
    random = Randomness(0, "unused")
    noised = transport.corrupt(batch["pos"], t, batch, random)
    close(noised.noise, data["noise_centred"])
    close(noised.x_t, data[f"{schedule}/x_t"])
    a, s = path.at(t)
    close(batch.spread(a)[:, None] * centre(batch["pos"], batch), data[f"{schedule}/perturb_mean"])
    close(batch.spread(s), data[f"{schedule}/perturb_std"])
    predicted = torch.from_numpy(data["eps_pred_raw"])
    close(transport.view(predicted, noised.x_t, t, batch).noise, data["eps_pred_centred"])
    scale, noise_scale, sigma = path.reverse(t)
    close(batch.spread(sigma), data[f"{schedule}/reverse_sigma_{variance}"])
    predicted_centred = torch.from_numpy(data["eps_pred_centred"])
    mean = batch.spread(scale)[:, None] * (noised.x_t - batch.spread(noise_scale)[:, None] * predicted_centred)
    close(mean, data[f"{schedule}/reverse_mean"])
    stepped = transport.reverse_step(noised.x_t, predicted, t, batch, random)
    close(stepped, data[f"{schedule}/x_prev_with_noise_{variance}"])
    # One more noising step with the table's variances.
    later = (t + 1).clamp(max=999)
    alpha, beta = (batch.spread(path.table[name][later])[:, None] for name in ("alpha", "beta"))
    forward = alpha.sqrt() * noised.x_t + beta.sqrt() * centre(torch.from_numpy(data["noise2_raw"]), batch)
    close(forward, data[f"{schedule}/forward_one_step_from_xt_with_noise2"])


def test_published_prior(process):
    data, batch, _ = process
    close(Scripted(data["noise_raw"]).draw(batch, None), data["prior_from_noise_raw"])


def test_published_chain(process):
    data, batch, _ = process
    transport = make(Scripted(*data["chain/noise_raw"]))
    x = torch.from_numpy(data["chain/x_start_t29"])
    for step, expected in zip(range(29, -1, -1), data["chain/states"], strict=True):
        x = transport.reverse_step(x, 0.2 * x, torch.full((len(batch),), step), batch, Randomness(0, "unused"))
        close(x, expected)


# --- time ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stratified", [False, True])
def test_each_molecule_has_its_own_uniform_time(stratified):
    transport = make(stratified=stratified)
    t = transport.sample_time(items(20_000), Randomness(0, "train"))
    assert t.dtype == torch.int64
    assert t.min() >= 0
    assert t.max() <= 999
    counts = torch.bincount(t // 100, minlength=10)
    assert (counts / 20_000 - 0.1).abs().max() < 0.01
    assert len(transport.sample_time(items(8), Randomness(1, "train")).unique()) == 8
    # One molecule over many epochs.
    one = torch.cat([transport.sample_time(items(1), Randomness(0, "train", epoch)) for epoch in range(2000)])
    assert one.double().mean().item() == pytest.approx(499.5, abs=4 * 289 / math.sqrt(2000))
    assert one.double().std().item() == pytest.approx(1000 / math.sqrt(12), rel=0.05)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 100_000), st.integers(2, 300), st.integers(0, 50))
def test_stratified_times_cover_every_run_of_items_evenly(first, length, epoch):
    batch = items(length).with_fields(order=torch.arange(first, first + length))
    t = make(stratified=True).sample_time(batch, Randomness(7, "train", epoch)).sort().values
    gaps = torch.diff(torch.cat([t, t[:1] + 1000]))
    assert gaps.max() <= 2.7 * 1000 / length + 1  # three-distance theorem for the golden ratio; independent draws fail


def test_times_belong_to_items(molecules):
    transport, random = make(), Randomness(0, "train", 3)
    some = torch.tensor([2, 0])
    assert torch.equal(
        transport.sample_time(molecules.select(some), random), transport.sample_time(molecules, random)[some]
    )


def test_one_time_per_batch():
    transport = make(time_per="batch")
    times = []
    for number in range(2000):
        t = transport.sample_time(items(3, key=(1, number)), Randomness(0, "train"))
        assert (t == t[0]).all()
        times.append(t[0].item())
    assert np.mean(times) == pytest.approx(499.5, abs=4 * 289 / math.sqrt(2000))
    assert len(set(times)) > 800


# --- noising ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["flat", "padded"])
def test_noised_structure_is_made_of_its_parts(molecules, layout):
    transport, random = make(), Randomness(0, "train")
    for epoch in range(20):
        batch = molecules.with_fields(pos=molecules["pos"] + 3.0).to_layout(layout)
        t = transport.sample_time(batch, Randomness(0, "train", epoch))
        noised = transport.corrupt(batch["pos"], t, batch, random)
        assert noised.x_t.dtype == torch.float32
        clean = centre(batch["pos"].double(), batch)
        a, s = (batch.spread(value)[..., None] for value in PATH.at(t))
        assert (noised.x_t.double() - a * clean - s * noised.noise.double()).abs().max() < 1e-6
        assert torch.equal(noised.target, noised.noise)
        for rows in (noised.x_t, noised.noise):
            assert batch.mean(rows.double()).abs().max() < 1e-6
            assert (rows[~batch.mask()] == 0).all()


def test_layout_and_company_change_nothing(molecules):
    transport, random = make(), Randomness(5, "train", 2)
    t = transport.sample_time(molecules, random)
    flat = transport.corrupt(molecules["pos"], t, molecules, random)
    padded = molecules.to_layout("padded", width=13)
    assert torch.equal(padded.rows(transport.corrupt(padded["pos"], t, padded, random).x_t), flat.x_t)
    some = torch.tensor([2, 1])
    part = molecules.select(some)
    alone = transport.corrupt(part["pos"], t[some], part, random)
    assert torch.equal(alone.x_t, molecules.with_fields(pos=flat.x_t).select(some)["pos"])


def test_moments_of_noised_structures():
    """Mean a x1, covariance s^2 (1 - 1/n) within a coordinate and -s^2 / n between atoms."""
    count, size = 40_000, 3
    batch = items(count, size)
    x1 = torch.tensor([[1.0, 0.0, 0.0], [-1.0, 2.0, 0.0], [0.0, -2.0, 0.0]], dtype=torch.float64)
    t = torch.full((count,), 400)
    x_t = make().corrupt(x1.repeat(count, 1), t, batch, Randomness(0, "moments")).x_t.reshape(count, size, 3)
    (a, s) = (value[0].item() for value in PATH.at(t))
    assert (x_t.mean(0) - a * x1).abs().max() < 4 * s / math.sqrt(count)
    deviation = (x_t - a * x1)[..., 0]
    covariance = deviation.T @ deviation / count
    expected = s**2 * (torch.eye(size, dtype=torch.float64) - 1 / size)
    assert (covariance - expected).abs().max() < 5 * s**2 / math.sqrt(count)


def test_prior_has_its_degrees_of_freedom():
    batch = items(20_000, 4)
    rows = CentredGaussian().draw(batch, Randomness(0, "prior"))
    assert batch.mean(rows).abs().max() < 1e-14
    freedom = CentredGaussian().degrees_of_freedom(batch)
    assert (freedom == 9).all()
    assert batch.sum(rows.square()).sum(1).mean().item() == pytest.approx(9.0, rel=0.02)


# --- losses and views -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layout", ["flat", "padded"])
def test_loss_is_the_squared_error_of_real_atoms(molecules, layout):
    batch = molecules.to_layout(layout)
    transport, random = make(), Randomness(0, "loss")
    noised = transport.corrupt(batch["pos"], torch.tensor([1, 50, 900]), batch, random)
    exact = transport.loss(noised.target, noised, batch)
    assert (exact.total == 0).all()
    wrong = transport.loss(noised.target + 2.0, noised, batch)
    assert torch.equal(wrong.count, torch.tensor([15.0, 27.0, 9.0]))
    assert torch.allclose(wrong.total / wrong.count, torch.full((3,), 4.0))


@pytest.mark.parametrize("predicts", ["noise", "clean"])
def test_views_of_an_exact_prediction(molecules, predicts):
    batch = molecules.with_fields(pos=molecules["pos"].double()).to_layout("padded")
    transport = make(predicts=predicts)
    t = torch.tensor([0, 500, 999])
    noised = transport.corrupt(batch["pos"], t, batch, Randomness(0, "view"))
    view = transport.view(noised.target + 1.0, noised.x_t, t, batch)  # a moved centre means nothing
    clean = centre(batch["pos"], batch)
    s = batch.spread(PATH.at(t)[1])[..., None]
    assert (view.clean - clean).abs().max() < 1e-9
    assert (view.noise - noised.noise).abs().max() < 1e-9
    assert torch.allclose(view.score, -noised.noise / s, rtol=1e-6, atol=1e-9)
    assert view.velocity is None


@pytest.mark.parametrize("weighting", ["vlb", "min_snr"])
def test_weighted_losses_do_not_depend_on_what_is_predicted(molecules, weighting):
    """The same mistake, told as noise or as structure, costs the same."""
    batch = molecules.with_fields(pos=molecules["pos"].double())
    t, random = torch.tensor([3, 400, 950]), Randomness(0, "weight")
    by_noise, by_clean = (make(predicts=predicts, weighting=weighting) for predicts in ("noise", "clean"))
    noised = by_noise.corrupt(batch["pos"], t, batch, random)
    mistaken = noised.noise + centre(0.1 * Randomness(1, "error").normal_rows(batch), batch)
    one = by_noise.loss(mistaken, noised, batch)
    clean = by_noise.view(mistaken, noised.x_t, t, batch).clean
    other = by_clean.loss(clean, by_clean.corrupt(batch["pos"], t, batch, random), batch)
    # Near t = 0 the error of the structure is tiny, and the loss is float32.
    assert torch.allclose(one.total, other.total, rtol=1e-3)


def test_weights():
    t, batch, pos = torch.tensor([0, 500, 999]), items(3), torch.zeros(3, 3)

    def weight(weighting, predicts):
        return make(weighting=weighting, predicts=predicts).corrupt(pos, t, batch, Randomness(0, "weight")).weight

    a, s = PATH.at(t)
    snr = ((a / s) ** 2).float()
    assert torch.equal(weight("none", "noise"), torch.ones(3))
    assert torch.allclose(weight("vlb", "noise"), PATH.table["vlb_weight"][t].float())
    assert torch.allclose(weight("min_snr", "clean"), snr.clamp(max=5.0))


def test_bad_arguments():
    for options in (
        {"predicts": "velocity"},
        {"weighting": "snr"},
        {"time_per": "atom"},
        {"stratified": True, "time_per": "batch"},
    ):
        with pytest.raises(ValueError, match=next(iter(options))):
            make(**options)


def test_copies_and_pickles():
    transport = make()
    t = torch.tensor([3])
    for other in (copy.deepcopy(transport), pickle.loads(pickle.dumps(transport))):
        assert other.path.at(t) == transport.path.at(t)
