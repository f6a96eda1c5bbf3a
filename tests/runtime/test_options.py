"""Every YAML file that we ship: described, composable, and sound. New files are found, not listed."""

from __future__ import annotations

import pytest

from hydramol.runtime.compose import composition
from hydramol.runtime.options import (
    PRESET_GROUPS,
    config_folder,
    description,
    group_names,
    option_file,
    option_names,
)

FOLDERS = [config_folder()]
OPTIONS = [(group, option) for group in group_names(FOLDERS) for option in option_names(group, FOLDERS)]
TRAIN = [(group, option) for group, option in OPTIONS if "/" not in group and group not in ("labeler", "matching")]

CLASHES = ("does not accept", "needs a", ", which nothing chosen provides")
"""Complaints that an option may cause beside the default model; presets combine what fits."""

OPEN = "has no value yet"
"""Complaint about a value that only the user can give, a file for example."""


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_option_is_described_in_one_line(group: str, option: str) -> None:
    file = option_file(group, option, FOLDERS)
    assert file is not None
    assert 0 < len(description(file)) <= 140


@pytest.mark.parametrize("group", PRESET_GROUPS)
def test_presets_say_their_package(group: str) -> None:
    for option in option_names(group, FOLDERS):
        file = option_file(group, option, FOLDERS)
        assert file is not None
        assert file.read_text().startswith("# @package _global_\n"), file


@pytest.mark.parametrize("experiment", option_names("experiment", FOLDERS))
def test_every_experiment_is_sound(experiment: str) -> None:
    assert [error.line for error in composition("train", [f"experiment={experiment}"]).errors()] == []


@pytest.mark.parametrize(("group", "option"), TRAIN)
def test_every_option_is_sound(group: str, option: str) -> None:
    overrides = [f"{group}={option}", *([] if group in PRESET_GROUPS else ["~experiment"])]
    lines = [error.line for error in composition("train", overrides).errors()]
    assert [line for line in lines if not any(clash in line for clash in (*CLASHES, OPEN))] == []


@pytest.mark.parametrize("builder", option_names("prepare/data", FOLDERS))
def test_every_builder_is_sound(builder: str) -> None:
    lines = [error.line for error in composition("prepare", [f"data={builder}"]).errors()]
    assert [line for line in lines if OPEN not in line] == []


@pytest.mark.parametrize(
    ("override", "word"),
    [
        ("trainer.max_epochs=abc", "trainer.max_epochs=abc must be a whole number or null"),
        ("optimizer.lr=fast", "optimizer.lr=fast must be a number"),
        ("+optimizer.lrr=1", "unknown key optimizer.lrr, did you mean lr?"),
        ("+trainer.max_epoch=1", "unknown key trainer.max_epoch, did you mean max_epochs?"),
        ("trainer.precision=bf16-mxed", "did you mean bf16-mixed?"),
        ("trainer.inference_mode=true", "trainer.inference_mode must stay false"),
        ("trainer.use_distributed_sampler=true", "trainer.use_distributed_sampler must stay false"),
        ("+callbacks.best.mod=max", "unknown key callbacks.best.mod, did you mean mode?"),
        ("+data.loader.num_wokers=1", "unknown key data.loader.num_wokers, did you mean num_workers?"),
        ("+logger.tensorboard.flush_sec=1", "unknown key logger.tensorboard.flush_sec, did you mean flush_secs?"),
        ("transport=none", "model=morered needs a transport"),
    ],
)
def test_third_parties_are_judged_too(override: str, word: str) -> None:
    lines = [error.line for error in composition("train", ["~experiment", override]).errors()]
    assert any(word in line for line in lines), lines
