"""Steps with a broken gradient are left out, and only those."""

from __future__ import annotations

import pytest
import pytorch_lightning as pl
import torch
from torch.utils.data import DataLoader

from hydramol.runtime.callbacks import SkipSteps


class Line(pl.LightningModule):
    """Loss ``w x``, so that the gradient is x."""

    def __init__(self) -> None:
        super().__init__()
        self.w = torch.nn.Parameter(torch.zeros(()))
        self.seen: list[float] = []

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        self.seen.append(float(self.w.detach()))
        return self.w * batch.sum()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=1.0)


@pytest.mark.filterwarnings("ignore")
def test_broken_steps_change_nothing() -> None:
    gradients = [1.0, float("nan"), 2.0, 500.0, float("inf"), 4.0]
    model, callback = Line(), SkipSteps(above=100.0)
    trainer = pl.Trainer(
        max_epochs=1, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[callback],
    )  # fmt: skip
    trainer.fit(model, DataLoader(torch.tensor(gradients)))
    assert model.seen == [0.0, -1.0, -1.0, -3.0, -3.0, -3.0]
    assert float(model.w.detach()) == -7.0
    assert callback.skipped == 3
    assert trainer.callback_metrics["train/skipped_steps"] == 3
    again = SkipSteps()
    again.load_state_dict(callback.state_dict())
    assert again.skipped == 3


def test_limit_is_positive() -> None:
    with pytest.raises(ValueError, match="positive"):
        SkipSteps(above=0.0)
