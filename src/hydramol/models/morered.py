"""Molecular diffusion: a net learns to tell the noise in a noised structure, and how much of it there is.

Ho, Jain & Abbeel 2020 (arXiv:2006.11239) for the process, Kahouli et al. 2024 (arXiv:2404.10935, MoreRed) for its use
on molecules of given composition and for the prediction of time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from hydramol.core.batch import Batch
from hydramol.core.protocols import Backbone, Corrupted, Output, Sampler, Stage, Sums
from hydramol.core.randomness import Randomness
from hydramol.data.datamodule import DataModule
from hydramol.evaluation.equivariance import equivariance_error
from hydramol.models.gradients import gradient_norm
from hydramol.models.optimizers import optimizer_with_schedule
from hydramol.models.postprocess import POSTPROCESS, Postprocess, postprocess
from hydramol.nets.atomwise import Atomwise
from hydramol.tasks.generate import reference_structures
from hydramol.transport.linear_guess import LinearGuess
from hydramol.transport.transport import Transport

Heads = Literal["noise", "joint", "time"]
HEADS: tuple[Heads, ...] = ("noise", "joint", "time")


class Prediction(NamedTuple):
    """What the heads say: noise of each row, and time of each row or of each item."""

    noise: Tensor | None
    time: Tensor | None


class MoreRed(pl.LightningModule):
    """Noise and time prediction on noised molecules.

    Three models in one, by their heads: "noise" is told the time (DDPM); "time" tells it; "joint" tells the time and
    feeds its own answer to the noise head (MoreRed-JT), through one time head that serves both.

    Args:
        net: Backbone; it supplies the noise head that suits its features.
        transport: Noising process and what is predicted.
        sampler: Used by the task; may be swapped at sampling.
        task: What is asked of the model after training.
        optimizer: ``parameters -> optimizer``.
        scheduler: ``optimizer, n_steps -> learning rate scheduler``, stepped after each optimiser step; None keeps
            the rate.
        statistics: Float64 statistics of the training split; ``position_variance`` is needed.
        seed: The run's seed, root of the noise.
        heads: "noise", "joint" or "time".
        loss_weights: Of "noise" and "time" in the joint loss; 0.9 and 0.1 by default, as published.
        time_aggregation: "avg" predicts one time a molecule from the mean over its atoms; None one an atom, as
            published.
        detach_time_head: The noise loss does not reach the time head and, through it, the backbone.
        detach_representation: The time loss trains the time head alone, not the backbone.
        parametrization: "plain" predicts the noise by the net alone; "linear_skip" adds the best linear guess,
            ``eps = c(t) x_t + g(t) net``, so that the net learns only what a linear map cannot know.
        postprocess: What becomes of predicted noise: "none", "clip_norm" (at ``max_norm``) or "centre".
        max_norm: Longest noise of an atom under "clip_norm"; that of true noise has the mean 1.6.
        gradient_norms_every: Log the gradient norm of each loss every so many steps (one more backward pass for each);
            0 leaves it out.
    """

    def __init__(
        self,
        net: Backbone,
        transport: Transport,
        sampler: Sampler | None = None,
        task: Any | None = None,
        optimizer: Callable[..., torch.optim.Optimizer] | None = None,
        scheduler: Callable[..., Any] | None = None,
        *,
        statistics: Mapping[str, Tensor],
        seed: int = 0,
        heads: Heads = "noise",
        loss_weights: Mapping[str, float] | None = None,
        time_aggregation: Literal["avg"] | None = "avg",
        detach_time_head: bool = False,
        detach_representation: bool = False,
        parametrization: Literal["plain", "linear_skip"] = "linear_skip",
        postprocess: Postprocess = "centre",
        max_norm: float = 2.0,
        gradient_norms_every: int = 50,
    ) -> None:
        super().__init__()
        for name, value, allowed in (
            ("heads", heads, HEADS),
            ("parametrization", parametrization, ("plain", "linear_skip")),
            ("postprocess", postprocess, POSTPROCESS),
        ):
            if value not in allowed:
                raise ValueError(f"model.{name}={value!r}: one of {', '.join(allowed)}")
        if parametrization == "linear_skip" and transport.predicts != "noise":
            raise ValueError(
                "model.parametrization=linear_skip is a skip of the noise: set transport.predicts=noise or plain"
            )
        weights = {"noise": 0.9, "time": 0.1} if loss_weights is None else dict(loss_weights)
        if set(weights) != {"noise", "time"} or min(weights.values()) < 0:
            raise ValueError(f"model.loss_weights={weights}: noise and time, neither negative")
        self.net = net
        self.noise_head: nn.Module | None = net.noise_head() if heads != "time" else None
        self.time_head = (
            Atomwise(net.n_features, n_layers=3, aggregation=time_aggregation) if heads != "noise" else None
        )
        self.transport = transport
        self.sampler = sampler
        self.task = task
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.statistics = dict(statistics)
        self.seed = seed
        self.heads = heads
        self.loss_weights = weights if heads == "joint" else {"noise": 1.0, "time": 1.0}
        self.detach_time_head = detach_time_head
        self.detach_representation = detach_representation
        self.parametrization = parametrization
        self.postprocess = postprocess
        self.max_norm = max_norm
        self.gradient_norms_every = gradient_norms_every
        self.linear_guess = LinearGuess(transport.path, float(statistics["position_variance"]))
        self.time_predictor: Callable[[Tensor, Batch], Tensor] | None = None
        """``(x, condition) -> time [items]`` of another model, which stands in where this one has no time head."""

    @classmethod
    def provides_for(cls, heads: str = "noise") -> frozenset[str]:
        """Words for the configuration check: a joint model tells samplers the time."""
        return frozenset({"noise", "time"} if heads == "joint" else {heads})

    @classmethod
    def needs_for(cls, heads: str = "noise") -> frozenset[str]:
        """Words for the configuration check: a backbone that is told the time cannot be asked for it."""
        return frozenset({"discrete"} if heads == "noise" else {"discrete", "time_at_head"})

    @staticmethod
    def describe(data: DataModule) -> dict[str, Tensor]:
        """Statistics of the training split, and some of its structures to compare drawn ones with."""
        indices = data.indices("train")
        return data.dataset.statistics(indices) | reference_structures(data.dataset, indices)

    # --- prediction ----------------------------------------------------------------------------------------------

    def forward(self, x: Tensor, t: Tensor | None, condition: Batch) -> Prediction:
        """Predicts the noise in a structure, and its time.

        Args:
            x: Noised positions in the layout of ``condition``, ``[rows..., 3]``, Angstrom.
            t: Diffusion step of each item, ``[items]`` int64 in 0..T-1. None: a joint model takes its own prediction; a
                time model needs none.
            condition: Carries the elements; its positions are not looked at.

        Returns:
            Noise, same shape as ``x``, float32, and the normalised time, ``[items]`` or ``[rows...]``; None where there
            is no head for it.
        """
        x = x.to(torch.float32)
        batch = condition.with_fields(pos=x)
        inner = batch.to_layout(self.net.layout)
        told = None if t is None else self.transport.path.normalise(t)
        features = self.net(inner, told)
        time = None
        if self.time_head is not None:
            seen = features._replace(scalar=features.scalar.detach()) if self.detach_representation else features
            time = self.time_head(seen, inner).to(torch.float32)
        if self.noise_head is None:
            return Prediction(None, self._in_layout(time, inner, batch))
        if told is None:
            if time is None:
                raise ValueError("this model is told the time; it has no time head to find it")
            told = time.detach() if self.detach_time_head else time
            if self.net.layout == "padded":
                told = self._of_items(told, inner)
        noise = self.noise_head(features, inner, told).to(torch.float32)
        noise = batch.like(inner.rows(noise), batch.layout)
        if self.parametrization == "linear_skip":
            step = t if t is not None else self.transport.path.nearest(self._of_items(told, inner))
            guess, scale = self.linear_guess.parts(x, step, batch)
            noise = guess + scale * noise
        return Prediction(
            postprocess(noise, batch, self.postprocess, self.max_norm), self._in_layout(time, inner, batch)
        )

    @staticmethod
    def _of_items(time: Tensor, batch: Batch) -> Tensor:
        """One time an item: times of atoms are clipped and averaged, as published."""
        return time if time.shape == batch.sizes["atom"].shape else batch.mean(time.clamp(0, 1)[..., None])[:, 0]

    @staticmethod
    def _in_layout(time: Tensor | None, inner: Batch, batch: Batch) -> Tensor | None:
        """Times of atoms brought from the net's layout to the batch's; times of items as they are."""
        if time is None or time.shape == inner.sizes["atom"].shape:
            return time
        return batch.like(inner.rows(time), batch.layout)

    def denoise(self, x: Tensor, t: Tensor | None, condition: Batch) -> Output:
        """The model as a `Denoiser`; without a time it finds one, by its own head or the attached predictor."""
        if t is None and self.time_head is None:
            if self.time_predictor is None:
                raise ValueError("no time was given, and neither a time head nor a time predictor is there to find it")
            time = self.time_predictor(x, condition)
            return Output(self._noise(self(x, self.transport.path.nearest(time), condition)), time)
        found = self(x, t, condition)
        return Output(self._noise(found), None if found.time is None else self._of_items(found.time, condition))

    def predict_time(self, x: Tensor, condition: Batch) -> Tensor:
        """The normalised time of each item, ``[items]`` float32; one that is predicted as such may lie beyond 0 or 1.

        Args:
            x: Noised positions in the layout of ``condition``, ``[rows..., 3]``, Angstrom.
            condition: Carries the elements.
        """
        found = self(x, None, condition)
        if found.time is None:
            raise ValueError("this model has no time head")
        return self._of_items(found.time, condition)

    @staticmethod
    def _noise(prediction: Prediction) -> Tensor:
        if prediction.noise is None:
            raise ValueError("this model tells the time alone; it cannot denoise")
        return prediction.noise

    # --- training ------------------------------------------------------------------------------------------------

    def corrupt(self, batch: Batch, stage: Stage) -> Corrupted:
        """Noises a batch; in validation each item meets the same noise at the same step every time."""
        random = Randomness(self.seed, stage, batch.key[0] if stage == "train" else 0)
        t = self.transport.sample_time(batch, random)
        return self.transport.corrupt(batch["pos"], t, batch, random, training=stage == "train")

    def _losses(self, batch: Batch, stage: Stage) -> tuple[dict[str, Sums], Corrupted]:
        """The loss of each head, with as many counts an item as it has coordinates, and what was noised how."""
        corrupted = self.corrupt(batch, stage)
        found = self(corrupted.x_t, corrupted.t if self.heads == "noise" else None, batch)
        losses = {}
        if found.noise is not None:
            losses["noise"] = self.transport.loss(found.noise, corrupted, batch)
        if found.time is not None:
            true = self.transport.path.normalise(corrupted.t)
            if found.time.shape == true.shape:
                error = batch.spread((found.time - true).square())
            else:
                error = (found.time - batch.spread(true)).square()
            count = 3.0 * batch.sizes["atom"].to(torch.float32)
            losses["time"] = Sums(3.0 * batch.sum(error[..., None])[:, 0], count)
        return losses, corrupted

    def _joined(self, losses: Mapping[str, Sums]) -> Tensor:
        return torch.stack([self.loss_weights[name] * _mean(sums) for name, sums in losses.items()]).sum()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Mean squared errors over all coordinates of the batch, weighted."""
        losses, _ = self._losses(batch, "train")
        loss = self._joined(losses)
        options: dict[str, Any] = {"on_step": True, "on_epoch": False, "batch_size": len(batch)}
        self.log("train/loss", loss, prog_bar=True, **options)
        if len(losses) > 1:
            for name, sums in losses.items():
                self.log(f"train/loss_{name}", _mean(sums).detach(), **options)
        if self.gradient_norms_every and self.global_step % self.gradient_norms_every == 0:
            for name, sums in losses.items():
                norm = gradient_norm(self.loss_weights[name] * _mean(sums), self.parameters())
                self.log(f"gradient_norm/{name}", norm, **options)
        return loss

    def _evaluation_step(self, batch: Batch, stage: Stage, first: bool) -> None:
        losses, corrupted = self._losses(batch, stage)
        count = int(next(iter(losses.values())).count.sum())
        options: dict[str, Any] = {"batch_size": count, "on_epoch": True, "sync_dist": True}
        self.log(f"{stage}/loss", self._joined(losses), prog_bar=True, **options)
        if len(losses) > 1:
            for name, sums in losses.items():
                self.log(f"{stage}/loss_{name}", _mean(sums), **options)
        if "noise" in losses:
            if self.transport.predicts == "noise":
                guess = self.transport.loss(self.linear_guess(corrupted.x_t, corrupted.t, batch), corrupted, batch)
                self.log(f"{stage}/loss_linear_guess", _mean(guess), **options)
            if first:
                self._log_equivariance(batch, corrupted, stage)

    def _log_equivariance(self, batch: Batch, corrupted: Corrupted, stage: Stage, n: int = 8) -> None:
        """Equivariance error on a few items of the first batch, at one rotation each: cheap enough for each epoch."""
        chosen = torch.arange(min(n, len(batch)), device=batch.device)
        some = batch.with_fields(pos=corrupted.x_t).select(chosen)
        error = equivariance_error(
            self.denoise, some["pos"], corrupted.t[chosen], some, Randomness(self.seed, f"{stage}/turn"), n_rotations=1
        )
        # In the dtype and on the device that every accelerator has.
        mean = error.mean().to(torch.float32)
        self.log(f"{stage}/equivariance_error", mean, batch_size=len(some), on_epoch=True, sync_dist=True)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Losses beside that of the best linear guess of the noise, and the equivariance error."""
        self._evaluation_step(batch, "val", batch_idx == 0)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Losses beside that of the best linear guess of the noise, and the equivariance error."""
        self._evaluation_step(batch, "test", batch_idx == 0)

    def configure_optimizers(self) -> Any:
        """Optimiser, with a scheduler over all steps if there is one."""
        data: DataModule = self.trainer.datamodule  # type: ignore[attr-defined]
        return optimizer_with_schedule(self, self.optimizer, self.scheduler, data.planned_steps)


def _mean(sums: Sums) -> Tensor:
    return sums.total.sum() / sums.count.sum()
