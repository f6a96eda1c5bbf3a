"""One small checkpoint of every layout of the configuration is kept; all of them can still be used.

Each was made by a training of one epoch with a net of width 8, without the optimiser's state. After a change of layout,
add the new one as ``v<CONFIG_VERSION>.ckpt``.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hydramol.core.randomness import Randomness
from hydramol.runtime.checkpoint import CONFIG_VERSION, read_checkpoint
from hydramol.runtime.compose import compose_from, to_plain
from hydramol.runtime.load import load_model

FOLDER = Path(__file__).parent


def test_today_has_its_checkpoint() -> None:
    assert (FOLDER / f"v{CONFIG_VERSION}.ckpt").is_file()


@pytest.mark.parametrize("path", sorted(FOLDER.glob("v*.ckpt")), ids=lambda path: path.stem)
def test_checkpoint_of_a_former_version_draws_structures(path: Path) -> None:
    checkpoint = read_checkpoint(path)
    swapped = ["sampler=ddpm", "sampler.n_samples=2", "sampler.max_steps=3"]
    config = to_plain(compose_from(checkpoint["hydramol"]["config"], swapped))
    model = load_model(checkpoint, config)
    outcome = model.task.sample(model, Randomness(0, "sample"))  # type: ignore[operator, union-attr]
    drawn = outcome.structures["generated.extxyz"].structures["generated"]
    assert len(drawn) == 2
    assert torch.isfinite(drawn["pos"]).all()
