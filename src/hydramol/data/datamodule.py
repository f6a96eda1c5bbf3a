"""The one DataModule: any data set, any plan, exact position.

The position in training, (epoch, batches delivered), is counted as the trainer receives batches, and is all that a
resumed run needs: which items come next, their augmentation and their noise follow from it. Batches that workers have
prefetched but not delivered do not count, so the number of workers may change between runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from hydramol.core.batch import Batch
from hydramol.core.errors import ConfigError, DataError
from hydramol.core.protocols import Dataset, Stage, Transform
from hydramol.core.randomness import Randomness
from hydramol.data.batching import BoundPlan, Plan
from hydramol.data.collate import collate
from hydramol.data.transforms import apply_transforms, is_random

STAGES: tuple[Stage, ...] = ("train", "val", "test")


class Request(NamedTuple):
    """One planned batch, as it travels to a worker."""

    epoch: int
    number: int
    items: np.ndarray
    order: np.ndarray
    view: np.ndarray


class BatchSource(TorchDataset[Batch]):
    """Turns requests into finished batches; runs in the workers."""

    def __init__(
        self,
        dataset: Dataset,
        seed: int,
        stage: Stage,
        sample_transforms: Mapping[str, Transform],
        batch_transforms: Mapping[str, Transform],
    ) -> None:
        self.dataset = dataset
        self.random = Randomness(seed, f"{stage}/augment")
        self.sample_transforms = sample_transforms
        self.batch_transforms = batch_transforms

    def __getitem__(self, request: Request) -> Batch:
        epoch = request.epoch
        found = self.dataset.__getitems__([(epoch, int(item)) for item in request.items])
        batch = found if isinstance(found, Batch) else collate(found)
        batch = Batch(
            {
                **batch.fields,
                "item": torch.from_numpy(request.items),
                "order": torch.from_numpy(request.order),
                "view": torch.from_numpy(request.view),
            },
            batch.sizes,
            batch.layout,
            (epoch, request.number),
        )
        random = Randomness(self.random.seed, self.random.stream, epoch)
        batch = apply_transforms(batch, self.sample_transforms, random)
        return apply_transforms(batch, self.batch_transforms, random)


class PlanSampler:
    """Iterates the requests of one epoch from a position; its length is that of the whole epoch."""

    def __init__(self, module: DataModule, stage: Stage) -> None:
        self.module = module
        self.stage = stage
        self.epoch = self._start()[0]

    def __len__(self) -> int:
        return self.module.plan(self.stage).count(self.epoch, self.module.world)

    def __iter__(self) -> Iterator[Request]:
        module, plan = self.module, self.module.plan(self.stage)
        self.epoch, start = self._start()
        indices = module.indices(self.stage)
        for number, planned in enumerate(plan.batches(self.epoch, module.rank, module.world, start), start):
            yield Request(self.epoch, number, indices[planned.items], planned.order, planned.view)

    def _start(self) -> tuple[int, int]:
        return self.module.upcoming() if self.stage == "train" else (0, 0)


class DataModule(pl.LightningDataModule):
    """Serves the three splits of a data set in planned batches.

    Args:
        dataset: Items, sizes and splits.
        batching: Plan of the training batches; validation and test use its ordered form.
        sample_transforms: Applied to each item with its own randomness (training only where they are random).
        batch_transforms: Applied to the finished batch.
        seed: The run's seed.
        n_views: Augmented views of each item in a batch; the configured batch size counts views.
        num_workers: Worker processes; 0 loads in the main process.
        pin_memory: Pin batches for quick copies to a GPU.
    """

    def __init__(
        self,
        dataset: Dataset,
        batching: Plan,
        sample_transforms: Mapping[str, Transform] | None = None,
        batch_transforms: Mapping[str, Transform] | None = None,
        *,
        seed: int = 0,
        n_views: int = 1,
        num_workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        super().__init__()
        self.dataset = dataset
        self.seed = seed
        self.n_views = n_views
        self.num_workers = num_workers
        self.pin_memory = pin_memory
        self.sample_transforms = dict(sample_transforms or {})
        self.batch_transforms = dict(batch_transforms or {})
        self.position = (0, 0)
        ordered = replace(batching, shuffle=False)  # type: ignore[type-var]
        self._plans: dict[Stage, BoundPlan] = {}
        for stage in STAGES:
            if len(self.indices(stage)) == 0:
                raise DataError(f"the {stage} split is empty", where="data", fix="lower the other splits' sizes")
            plan, views = (batching, n_views) if stage == "train" else (ordered, 1)
            self._plans[stage] = plan.bind(self._sizes(stage), seed, views)

    # --- what is served ------------------------------------------------------------------------------------------

    def indices(self, stage: Stage) -> np.ndarray:
        """Item numbers of a split."""
        return np.asarray(self.dataset.splits[stage], dtype=np.int64)

    def plan(self, stage: Stage) -> BoundPlan:
        """The bound plan of a split."""
        return self._plans[stage]

    def _sizes(self, stage: Stage) -> np.ndarray:
        return np.asarray(self.dataset.sizes["atom"])[self.indices(stage)]

    @property
    def rank(self) -> int:
        """This process among those that train together."""
        return self.trainer.global_rank if self.trainer is not None else 0

    @property
    def world(self) -> int:
        """How many processes train together."""
        return self.trainer.world_size if self.trainer is not None else 1

    def loader(self, stage: Stage) -> DataLoader[Batch]:
        """Batches of a split; training starts at `position`."""
        transforms = self.sample_transforms if stage == "train" else _deterministic(self.sample_transforms)
        return DataLoader(
            BatchSource(self.dataset, self.seed, stage, transforms, self.batch_transforms),
            batch_size=None,
            sampler=PlanSampler(self, stage),
            num_workers=self.num_workers,
            pin_memory=self.pin_memory,
            # Workers have nothing to draw; forking keeps the flat data set shared.
            multiprocessing_context="fork" if self.num_workers else None,
        )

    def train_dataloader(self) -> DataLoader[Batch]:
        """Training batches from the current position."""
        return self.loader("train")

    def val_dataloader(self) -> DataLoader[Batch]:
        """Validation batches, always the same ones in the same order."""
        return self.loader("val")

    def test_dataloader(self) -> DataLoader[Batch]:
        """Test batches, always the same ones in the same order."""
        return self.loader("test")

    def planned_steps(self) -> int:
        """Optimiser steps of the whole run, for schedules: those of the first epoch times the epochs.

        Lightning's own estimate takes the length of the epoch at hand, which would bend a resumed schedule where epochs
        differ in length.

        Raises:
            ConfigError: Neither epochs nor steps are limited.
        """
        trainer = self.trainer
        assert trainer is not None, "a schedule needs a trainer"
        limits = [trainer.max_steps] if trainer.max_steps > 0 else []
        if trainer.max_epochs is not None and trainer.max_epochs > 0:
            limits.append(-(-self.n_batches(0) // trainer.accumulate_grad_batches) * trainer.max_epochs)
        if not limits:
            raise ConfigError(
                "a schedule needs an end", where="trainer", fix="set max_epochs or max_steps, or choose scheduler=none"
            )
        return min(limits)

    # --- position ------------------------------------------------------------------------------------------------

    def upcoming(self) -> tuple[int, int]:
        """Where the next pass over the training batches begins; a finished epoch turns into the next one."""
        epoch, delivered = self.position
        return (epoch + 1, 0) if delivered >= self.n_batches(epoch) else self.position

    def n_batches(self, epoch: int) -> int:
        """Training batches that the trainer takes from an epoch: those of the plan, or fewer where it limits them."""
        planned = self.plan("train").count(epoch, self.world)
        limit = self.trainer.limit_train_batches if self.trainer is not None else 1.0
        return min(planned, limit) if isinstance(limit, int) else int(planned * limit)

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Counts a training batch as delivered when the trainer takes it."""
        trainer = self.trainer
        if trainer is not None and trainer.training:
            epoch, number = batch.key
            self.position = (epoch, number + 1)
        return batch

    def state_dict(self) -> dict[str, Any]:
        """The position after the last optimiser step, saved in every checkpoint.

        Batches whose gradients were gathered since are taken again; their noise is the same.
        """
        epoch, delivered = self.position
        if self.trainer is not None and delivered < self.n_batches(epoch):
            delivered -= delivered % self.trainer.accumulate_grad_batches
        return {"epoch": epoch, "delivered": delivered, "world": self.world, "n_train": len(self.indices("train"))}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continues from a saved position; another number of processes begins the next epoch.

        Raises:
            DataError: The training split has another size than the checkpoint's.
        """
        if state_dict["n_train"] != len(self.indices("train")):
            raise DataError(
                f"the checkpoint was trained on {state_dict['n_train']} items, the data now has "
                f"{len(self.indices('train'))}",
                where="resume",
                fix="give the run the data it began with",
            )
        epoch, delivered = int(state_dict["epoch"]), int(state_dict["delivered"])
        self.position = (epoch, delivered)
        if state_dict["world"] != self.world and delivered:
            pl.utilities.rank_zero.rank_zero_warn(
                f"the checkpoint was written by {state_dict['world']} processes and is resumed by {self.world}: "
                "training goes on with the next epoch"
            )
            self.position = (epoch + 1, 0)


def _deterministic(transforms: Mapping[str, Transform]) -> dict[str, Transform]:
    """Transforms without random ones: validation sees the data as they are."""
    return {
        name: transform for name, transform in transforms.items() if transform is not None and not is_random(transform)
    }
