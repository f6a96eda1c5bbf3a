"""The transport between noise and data: which times, which noise, which target, which loss, which way back."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from hydramol.core.batch import Batch
from hydramol.core.protocols import Corrupted, Sums, View
from hydramol.core.randomness import Randomness, seed_of
from hydramol.geometry.rotations import rotate_rows
from hydramol.transport.aligned_target import turn_onto
from hydramol.transport.discrete_path import DiscretePath
from hydramol.transport.pairwise_error import pairwise_error
from hydramol.transport.prior import CentredGaussian
from hydramol.transport.rotational_noise import growing_rotations

Predicts = Literal["noise", "clean"]
Weighting = Literal["none", "vlb", "min_snr"]
Loss = Literal["mse", "kabsch", "pairwise"]

_GOLDEN_RATIO = (math.sqrt(5.0) - 1.0) / 2.0
_LARGEST_SNR = 5.0


class Transport:
    """A path between data and noise with what a net is asked to predict on it.

    Args:
        path: The factors of ``x_t = a x1 + s x0``.
        prior: Distribution of the noise x0.
        predicts: What the net's output means: the "noise" in x_t, or the "clean" structure.
        weighting: Weight of an item's squared error. "none": 1. "vlb": that of the variational bound (Ho et al. 2020,
            eq. 12). "min_snr": the signal-to-noise ratio capped at 5, in terms of the clean structure (Hang et al.,
            ICCV 2023). The latter two mean the same loss whichever quantity is predicted.
        stratified: Spread the times of consecutive items evenly over the path instead of drawing them independently;
            each item's time is still uniform, but a batch's mean loss fluctuates less.
        time_per: Each "molecule" has its own time, or all of a "batch" share one.
        loss: What counts as error. "mse": that of the predicted quantity. "kabsch": the same after the true structure
            has been turned onto the predicted one. "pairwise": that of the predicted interatomic distances, see
            `hydramol.transport.pairwise_error`. All are in the unit of "mse", and equal to it on average for small
            errors that turn nothing: an error of the structure counts (a / s)^2 times where noise is predicted. No cap
            on this factor is needed, as "kabsch" stays below "mse" and "pairwise" below three times "kabsch".
        rotational_noise: In training, also turn x_t, its noise and its target by a random rotation that grows with time
            (`hydramol.transport.rotational_noise`).
    """

    def __init__(
        self,
        path: DiscretePath,
        prior: CentredGaussian,
        predicts: Predicts = "noise",
        weighting: Weighting = "none",
        stratified: bool = False,
        time_per: Literal["molecule", "batch"] = "molecule",
        loss: Loss = "mse",
        rotational_noise: bool = False,
    ) -> None:
        for name, value, allowed in (
            ("predicts", predicts, ("noise", "clean")),
            ("weighting", weighting, ("none", "vlb", "min_snr")),
            ("time_per", time_per, ("molecule", "batch")),
            ("loss", loss, ("mse", "kabsch", "pairwise")),
        ):
            if value not in allowed:
                raise ValueError(f"transport.{name}={value!r}: one of {', '.join(allowed)}")
        if stratified and time_per == "batch":
            raise ValueError("transport.stratified spreads the times of molecules; time_per=batch has one for all")
        self.path = path
        self.prior = prior
        self.predicts = predicts
        self.weighting = weighting
        self.stratified = stratified
        self.time_per = time_per
        self.loss_kind = loss
        self.rotational_noise = rotational_noise

    # --- training ------------------------------------------------------------------------------------------------

    def sample_time(self, batch: Batch, random: Randomness) -> Tensor:
        """Draws the time of each item, ``[items]`` int64, uniform over 0 ... T-1.

        Args:
            batch: The items; ``order`` says their place in the epoch where times are stratified.
            random: Where the numbers come from; the stream "time" below it.
        """
        random = random.for_stream("time")
        if self.time_per == "batch":
            shared = _fraction(random.seed, random.stream, random.draw, *batch.key)
            fraction = torch.full((len(batch),), shared, dtype=torch.float64, device=batch.device)
        elif self.stratified:
            # Multiples of the golden ratio fill [0, 1) as evenly as any sequence can at every length; the random shift
            # of the epoch makes each single time uniform.
            shift = _fraction(random.seed, random.stream, random.epoch, random.draw)
            fraction = (batch["order"].to(torch.float64) * _GOLDEN_RATIO + shift).remainder(1.0)
        else:
            fraction = random.uniform(batch)[:, 0]
        return (fraction * self.path.n_steps).floor().to(torch.int64)

    def corrupt(self, x1: Tensor, t: Tensor, batch: Batch, random: Randomness, *, training: bool = False) -> Corrupted:
        """Noises structures.

        Args:
            x1: ``[rows..., 3]``, Angstrom; need not be centred.
            t: ``[items]`` steps.
            batch: The items the rows belong to.
            random: Where the noise comes from; the stream "noise" below it, and "rotational_noise".
            training: Whether rotational noise may turn the items; what is measured stays in its own frame.

        Returns:
            x_t, noise and target in the dtype of x1, all centred in float64. The clean structure and the noise are
            rounded first and x_t is formed from the rounded values, so the three agree to the last digit of x_t.
        """
        clean = self.prior.project(x1.to(torch.float64), batch)
        noise = self.prior.draw(batch, random.for_stream("noise"))
        if training and self.rotational_noise:
            turn = growing_rotations(self.path.normalise(t), batch, random.for_stream("rotational_noise"))
            clean, noise = rotate_rows(clean, turn, batch), rotate_rows(noise, turn, batch)
        clean, noise = clean.to(x1.dtype), noise.to(x1.dtype)
        a, s = self._factors(t, batch)
        x_t = (a * clean.to(torch.float64) + s * noise.to(torch.float64)).to(x1.dtype)
        target = noise if self.predicts == "noise" else clean
        return Corrupted(x_t, t, noise, target, self._weight(t).to(torch.float32))

    def loss(self, output: Tensor, corrupted: Corrupted, batch: Batch) -> Sums:
        """Weighted error of each item, as the argument ``loss`` defines it.

        Args:
            output: The net's prediction, ``[rows..., 3]`` in the layout of the batch.
            corrupted: What `corrupt` gave.
            batch: The items.

        Returns:
            Total over the real coordinates of each item, and their number 3n.
        """
        if self.loss_kind == "mse":
            return self.squared_error(output, corrupted, batch)
        # Float64, as small errors of structures near t = 0 stand for large ones of the noise.
        x_t, noise = corrupted.x_t.to(torch.float64), corrupted.noise.to(torch.float64)
        a, s = self._factors(corrupted.t, batch)
        clean = (x_t - s * noise) / a
        predicted = self._clean(output.to(torch.float64), x_t, a, s)
        if self.loss_kind == "kabsch":
            turned = turn_onto(clean, predicted, batch)
            target = (x_t - a * turned) / s if self.predicts == "noise" else turned
            return self.squared_error(output, corrupted._replace(target=target), batch)
        # In units of the predicted quantity: distances of structures scaled by a / s change as their noise does.
        scale = a / s if self.predicts == "noise" else 1.0
        total = pairwise_error(scale * predicted, scale * clean, batch).to(torch.float32)
        return self._sums(total, corrupted, batch)

    def squared_error(self, output: Tensor, corrupted: Corrupted, batch: Batch) -> Sums:
        """The loss "mse", whichever loss is trained with: the plain weighted squared error of the predicted quantity.

        Args:
            output: The net's prediction, ``[rows..., 3]`` in the layout of the batch.
            corrupted: What `corrupt` gave.
            batch: The items.

        Returns:
            Total over the real coordinates of each item, and their number 3n.
        """
        error = output.to(torch.float32) - corrupted.target.to(torch.float32)
        return self._sums(batch.sum(error.square().sum(-1, keepdim=True))[:, 0], corrupted, batch)

    # --- sampling ------------------------------------------------------------------------------------------------

    def view(self, output: Tensor, x_t: Tensor, t: Tensor, batch: Batch) -> View:
        """One prediction seen as clean structure, noise and score, all centred, float64.

        Args:
            output: The net's prediction for x_t, ``[rows..., 3]``; its centre is removed.
            x_t: ``[rows..., 3]``, centred.
            t: ``[items]`` steps.
            batch: The items.
        """
        a, s = self._factors(t, batch)
        x_t = x_t.to(torch.float64)
        predicted = self.prior.project(output.to(torch.float64), batch)
        clean = self._clean(predicted, x_t, a, s)
        noise = predicted if self.predicts == "noise" else (x_t - a * predicted) / s
        return View(clean=clean, noise=noise, score=-noise / s, velocity=None)

    def reverse_step(
        self,
        x_t: Tensor,
        output: Tensor,
        t: Tensor,
        batch: Batch,
        random: Randomness,
        previous: Tensor | None = None,
    ) -> Tensor:
        """Draws the less noised state before t, given a prediction.

        Args:
            x_t: ``[rows..., 3]``, centred, Angstrom.
            output: The net's prediction for x_t.
            t: ``[items]`` steps, which may differ between items.
            batch: The items.
            random: Where the added noise comes from, an address of this very step.
            previous: ``[items]`` steps to go to; t - 1 by default, -1 is the clean end.

        Returns:
            ``[rows..., 3]`` float64, centred.
        """
        step = self.path.reverse(t, previous)
        scale, noise_scale, sigma = (batch.spread(value)[..., None] for value in step)
        mean = scale * (x_t.to(torch.float64) - noise_scale * self.view(output, x_t, t, batch).noise)
        return mean + sigma * self.prior.draw(batch, random)

    # --- parts ---------------------------------------------------------------------------------------------------

    def _factors(self, t: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """The factors a and s of each row, ready to multiply: ``[rows..., 1]`` float64."""
        a, s = self.path.at(t)
        return batch.spread(a)[..., None], batch.spread(s)[..., None]

    def _clean(self, output: Tensor, x_t: Tensor, a: Tensor, s: Tensor) -> Tensor:
        """The clean structure that a prediction means."""
        return (x_t - s * output) / a if self.predicts == "noise" else output

    def _sums(self, total: Tensor, corrupted: Corrupted, batch: Batch) -> Sums:
        """Weighs the error of each item and counts its coordinates."""
        return Sums(total * corrupted.weight, 3.0 * batch.sizes["atom"].to(torch.float32))

    def _weight(self, t: Tensor) -> Tensor:
        """Weight of each item's squared error, ``[items]`` float64."""
        a, s = self.path.at(t)
        if self.weighting == "none":
            return torch.ones_like(a)
        snr = (a / s).square()
        if self.weighting == "vlb":
            of_noise = self.path.table.at(t)[self.path.table.names.index("vlb_weight")]
        else:
            of_noise = snr.clamp(max=_LARGEST_SNR) / snr
        # An error of the clean structure is s / a times the error of the noise.
        return of_noise if self.predicts == "noise" else of_noise * snr


def _fraction(*address: int | str) -> float:
    """A number in [0, 1) that belongs to an address."""
    return (seed_of(*address) >> 10) * 2.0**-53
