from __future__ import annotations

from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from hydramol.core.errors import ConfigError
from hydramol.runtime.check import ConfigErrors
from hydramol.runtime.compose import (
    compose,
    compose_from,
    composition,
    expand_aliases,
    hydra_for,
    root_keys,
    to_plain,
)
from tests.runtime.fake_tree import write_tree

pytestmark = pytest.mark.usefixtures("tree")


def test_the_default_experiment_composes_without_arguments() -> None:
    config = compose()
    assert config.name == "usual"
    assert config.net.width == 16
    assert "hydra" not in config


def test_presets_overrides_and_order() -> None:
    config = compose("train", ["experiment=other", "net.width=3"])
    assert (config.name, config.seed, config.net.width) == ("other", 7, 3)
    assert compose("train", ["~experiment"]).name == "unnamed"
    assert compose("train", ["name=mine"]).name == "mine"


def test_the_name_reaches_the_run_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYDRAMOL_RUN_ID", "r1")
    composed = composition("train", ["experiment=other"])
    assert composed.config.paths.output_dir == "outputs/other/r1"
    assert composed.full.hydra.run.dir == "outputs/other/r1"
    assert compose("train", ["paths.output_dir=here"]).paths.output_dir == "here"


def test_a_preset_of_the_user(user_dir: Path) -> None:
    write_tree(user_dir, {"experiment/mine": "# @package _global_\ndefaults: [/experiment/other, _self_]\nseed: 8"})
    config = compose("train", ["experiment=mine"], str(user_dir))
    assert (config.seed, config.net.width, config.name) == (8, 2, "mine")
    with pytest.raises(ConfigError, match="no such folder"):
        compose("train", [], str(user_dir / "absent"))


def test_plain_is_resolved_plain() -> None:
    plain = to_plain(compose())
    assert type(plain) is dict
    assert type(plain["net"]["inner"]) is dict
    assert plain["paths"]["output_dir"].startswith("outputs/usual/")


def test_hydra_that_runs_already_stays() -> None:
    with hydra_for("train") as outer:
        compose()
        assert GlobalHydra.instance().hydra is outer
    assert not GlobalHydra.instance().is_initialized()


def test_short_group_names_of_a_root() -> None:
    assert expand_aliases("prepare", ["data=crystals", "data.depth=3"]) == [
        "prepare/data@data=crystals",
        "data.depth=3",
    ]
    assert compose("prepare").data.depth == 1
    assert compose("prepare", ["data=crystals"]).data.depth == 2
    assert compose("prepare", ["data=crystals", "data.depth=5"]).data.depth == 5
    with pytest.raises(ConfigErrors, match="data=crystal: unknown option, did you mean crystals"):
        compose("prepare", ["data=crystal"])


def test_null_chooses_none() -> None:
    assert expand_aliases("train", ["net=null", "experiment=null", "seed=null"]) == [
        "net=none",
        "~experiment",
        "seed=null",
    ]


def test_root_keys() -> None:
    assert {"seed", "net", "experiment", "paths"} <= set(root_keys("train"))
    assert set(root_keys("prepare")) == {"data", "extensions"}


class TestStored:
    @pytest.fixture
    def stored(self) -> dict[str, object]:
        return to_plain(compose("train", ["~experiment", "model.heads=joint", "net.width=3"]))

    def test_values_change(self, stored: dict[str, object]) -> None:
        config = compose_from(stored, ["sampler.n_samples=9", "seed=1"])
        assert (config.sampler.n_samples, config.seed, config.net.width) == (9, 1, 3)
        assert stored["sampler"] == {"_target_": "fake_parts.Sampler", "n_samples": 4}

    def test_nothing_changes(self, stored: dict[str, object]) -> None:
        assert to_plain(compose_from(stored, [])) == stored

    def test_the_sampler_is_swapped_whole(self, stored: dict[str, object]) -> None:
        config = compose_from(stored, ["sampler=timed", "sampler.n_samples=7"])
        assert to_plain(config)["sampler"] == {"_target_": "fake_parts.TimeSampler", "n_samples": 7}

    @pytest.mark.parametrize(
        "override", ["model=both", "net=narrow", "transport=none", "net.width=4", "model.heads=noise", "adapter=lora"]
    )
    def test_the_trained_model_stays(self, stored: dict[str, object], override: str) -> None:
        with pytest.raises(ConfigErrors, match=f"{override} would change the trained model"):
            compose_from(stored, [override])

    @pytest.mark.parametrize(
        ("override", "line"),
        [
            ("sampler.n_sample=1", "unknown key sampler.n_sample, did you mean n_samples?"),
            ("smapler.n_samples=1", "unknown key smapler.n_samples, did you mean sampler?"),
            ("sampler.n_samples=few", "sampler.n_samples=few must be a whole number"),
            ("sampler=palin", "sampler=palin: unknown option, did you mean plain? options: none, plain, timed"),
        ],
    )
    def test_errors(self, stored: dict[str, object], override: str, line: str) -> None:
        with pytest.raises(ConfigErrors) as caught:
            compose_from(stored, [override])
        assert caught.value.lines == [line]

    def test_needs_are_judged_again(self) -> None:
        stored = to_plain(compose("train", ["~experiment"]))
        with pytest.raises(ConfigErrors, match="sampler=timed needs 'time'"):
            compose_from(stored, ["sampler=timed"])

    def test_a_stored_configuration_trusts_no_package(
        self, stored: dict[str, object], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("hydramol.runtime.check.targets._trusted", set())
        with pytest.raises(ConfigErrors, match="outside the allowed packages"):
            compose_from(stored, [])


def test_all_errors_of_composing_are_one_exception() -> None:
    with pytest.raises(ConfigErrors) as caught:
        compose("train", ["net=wode", "modle=x"])
    assert len(caught.value.lines) == 2
    assert caught.value.exit_code == 2


def test_interpolations_stay_until_plain() -> None:
    assert OmegaConf.is_interpolation(compose().paths, "output_dir")
