"""Molecular diffusion: a net learns to tell the noise in a noised structure.

Ho, Jain & Abbeel 2020 (arXiv:2006.11239) for the process, Kahouli et al. 2024 (arXiv:2404.10935) for its use on
molecules of given composition.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Literal

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from hydramol.core.batch import Batch
from hydramol.core.protocols import Backbone, Corrupted, Output, Sampler, Stage, Sums
from hydramol.core.randomness import Randomness
from hydramol.data.datamodule import DataModule
from hydramol.geometry.centring import centre
from hydramol.tasks.generate import reference_structures
from hydramol.transport.linear_guess import LinearGuess
from hydramol.transport.transport import Transport


class MoreRed(pl.LightningModule):
    """Noise prediction on noised molecules.

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
        parametrization: "plain" predicts the noise by the net alone; "linear_skip" adds the best linear guess,
            ``eps = c(t) x_t + g(t) net``, so that the net learns only what a linear map cannot know.
    """

    provides: ClassVar[frozenset[str]] = frozenset()
    needs: ClassVar[frozenset[str]] = frozenset({"discrete"})

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
        parametrization: Literal["plain", "linear_skip"] = "linear_skip",
    ) -> None:
        super().__init__()
        if parametrization not in ("plain", "linear_skip"):
            raise ValueError(f"model.parametrization={parametrization!r}: plain or linear_skip")
        if parametrization == "linear_skip" and transport.predicts != "noise":
            raise ValueError(
                "model.parametrization=linear_skip is a skip of the noise: set transport.predicts=noise or plain"
            )
        self.net = net
        self.noise_head: nn.Module = net.noise_head()
        self.transport = transport
        self.sampler = sampler
        self.task = task
        self.optimizer = optimizer
        self.scheduler = scheduler
        self.statistics = dict(statistics)
        self.seed = seed
        self.parametrization = parametrization
        self.linear_guess = LinearGuess(transport.path, float(statistics["position_variance"]))

    @staticmethod
    def describe(data: DataModule) -> dict[str, Tensor]:
        """Statistics of the training split, and some of its structures to compare drawn ones with."""
        indices = data.indices("train")
        return data.dataset.statistics(indices) | reference_structures(data.dataset, indices)

    # --- prediction ----------------------------------------------------------------------------------------------

    def forward(self, x: Tensor, t: Tensor, condition: Batch) -> Tensor:
        """Predicts the noise in a structure.

        Args:
            x: Noised positions in the layout of ``condition``, ``[rows..., 3]``, Angstrom.
            t: Diffusion step of each item, ``[items]`` int64 in 0..T-1.
            condition: Carries the elements; its positions are not looked at.

        Returns:
            Centred noise, same shape as ``x``, float32.
        """
        x = x.to(torch.float32)
        batch = condition.with_fields(pos=x)
        inner = batch.to_layout(self.net.layout)
        time = self.transport.path.normalise(t).to(torch.float32)
        noise = self.noise_head(self.net(inner, time), inner, time).to(torch.float32)
        noise = batch.like(inner.rows(noise), batch.layout)
        if self.parametrization == "linear_skip":
            _, scale = self.linear_guess.at(t)
            noise = self.linear_guess(x, t, batch) + batch.spread(scale.to(x.dtype))[..., None] * noise
        return centre(noise, batch)

    def denoise(self, x: Tensor, t: Tensor, condition: Batch) -> Output:
        """The model as a `Denoiser`."""
        return Output(x=self(x, t, condition))

    # --- training ------------------------------------------------------------------------------------------------

    def corrupt(self, batch: Batch, stage: Stage) -> Corrupted:
        """Noises a batch; in validation each item meets the same noise at the same step every time."""
        random = Randomness(self.seed, stage, batch.key[0] if stage == "train" else 0)
        t = self.transport.sample_time(batch, random)
        return self.transport.corrupt(batch["pos"], t, batch, random)

    def _losses(self, batch: Batch, stage: Stage) -> tuple[Sums, Corrupted]:
        corrupted = self.corrupt(batch, stage)
        return self.transport.loss(self(corrupted.x_t, corrupted.t, batch), corrupted, batch), corrupted

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Mean squared error of the noise over all coordinates of the batch."""
        sums, _ = self._losses(batch, "train")
        count = sums.count.sum()
        loss = sums.total.sum() / count
        self.log("train/loss", loss, on_step=True, on_epoch=False, prog_bar=True, batch_size=int(count))
        return loss

    def _evaluation_step(self, batch: Batch, stage: Stage) -> None:
        sums, corrupted = self._losses(batch, stage)
        count = int(sums.count.sum())
        options: dict[str, Any] = {"batch_size": count, "on_epoch": True, "sync_dist": True}
        self.log(f"{stage}/loss", sums.total.sum() / count, prog_bar=True, **options)
        if self.transport.predicts == "noise":
            guess = self.transport.loss(self.linear_guess(corrupted.x_t, corrupted.t, batch), corrupted, batch)
            self.log(f"{stage}/loss_linear_guess", guess.total.sum() / count, **options)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Noise loss beside that of the best linear guess."""
        self._evaluation_step(batch, "val")

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Noise loss beside that of the best linear guess."""
        self._evaluation_step(batch, "test")

    def configure_optimizers(self) -> Any:
        """Optimiser, with a scheduler over all steps if there is one."""
        if self.optimizer is None:
            raise ValueError("optimizer is not set")
        optimizer = self.optimizer(self.parameters())
        if self.scheduler is None:
            return optimizer
        data: DataModule = self.trainer.datamodule  # type: ignore[attr-defined]
        scheduler = self.scheduler(optimizer, n_steps=data.planned_steps())
        plateau = isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {
                "scheduler": scheduler,
                "interval": "epoch" if plateau else "step",
                "monitor": "val/loss",
            },
        }
