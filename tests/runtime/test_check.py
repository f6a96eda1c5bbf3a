from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import fake_parts
import pytest
from omegaconf import OmegaConf

from hydramol.core.errors import ConfigError
from hydramol.runtime.check import ConfigErrors, check, targets
from hydramol.runtime.check.annotations import describe, fits
from hydramol.runtime.check.fixed import check_fixed
from hydramol.runtime.check.groups import PARTS, SUPPLIED
from hydramol.runtime.check.signatures import arguments_of
from hydramol.runtime.check.suggest import closest
from hydramol.runtime.compose import composition
from tests.runtime.fake_tree import write_tree


def complaints(*overrides: str, root: str = "train", config_dir: Path | None = None) -> list[str]:
    try:
        composed = composition(root, overrides, str(config_dir) if config_dir else None)
        return list(dict.fromkeys(error.line for error in composed.errors()))
    except ConfigErrors as errors:
        return errors.lines


pytestmark = pytest.mark.usefixtures("tree")


def test_a_sound_configuration_has_no_complaints() -> None:
    assert complaints() == []
    assert complaints("experiment=other", "net=listed", "callbacks.first=null", "~experiment") == []


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("modle.lr=1", "unknown key modle, did you mean model?"),
        ("+modle.lr=1", "unknown key modle, did you mean model?"),
        ("sed=1", "unknown key sed, did you mean seed?"),
        ("optimizer.lrr=1", "unknown key optimizer.lrr, did you mean lr?"),
        ("+optimizer.lrr=1", "unknown key optimizer.lrr, did you mean lr?"),
        ("++net.inner.scal=1", "unknown key net.inner.scal, did you mean scale?"),
        ("net.inner.dept=1", "unknown key net.inner.dept, did you mean depth?"),
        ("net.inner.scale=1", "net.inner.scale is not in the configuration yet (add it with +net.inner.scale=1)"),
        ("~net.widht", "unknown key net.widht, did you mean width?"),
        ("+transport.weights.tme=1", "unknown key transport.weights.tme, did you mean time?"),
        ("+paths.rot=x", "unknown key paths.rot, did you mean root?"),
        ("callbacks.frist=null", "unknown key callbacks.frist, did you mean first?"),
        ("+callbacks.frist=null", "unknown key callbacks.frist, did you mean first?"),
        ("nett=narrow", "unknown key nett, did you mean net?"),
        ("+seed=1", "seed is there already (write seed=1 without +)"),
        ("net=wode", "net=wode: unknown option, did you mean wide? options: listed, narrow, none, wide"),
        ("hydra.run.dri=x", "unknown key hydra.run.dri, did you mean dir?"),
        ("seed=1,2", "seed=1,2 has several values (add -m for one run each, or quote the value)"),
        ("seed=abc", "seed=abc must be a whole number"),
        ("check=1", "check=1 must be true or false"),
        ("paths=1", "paths=1: unknown option; options: default"),
        ("net.width=abc", "net.width=abc must be a whole number"),
        ("net.width=true", "net.width=true must be a whole number"),
        ("net.width=null", "net.width=null must be a whole number"),
        ("net.cutoff=far", "net.cutoff=far must be a number"),
        ("+net.act=sillu", "net.act=sillu must be one of silu, relu, did you mean silu?"),
        ("+sampler.steps=3", "sampler.steps=3 must be a list"),
        ("+sampler.steps=[1,x]", "sampler.steps[1]=x must be a whole number"),
        ("+optimizer.betas=[1]", "optimizer.betas=[1] must be a list of 2"),
        ("transport.path=straight", "transport.path=straight must be DiscretePath"),
        ("transport.weights.time=x", "transport.weights.time=x must be a number"),
        ("net.inner.depth=???", "net.inner.depth has no value yet (give net.inner.depth=...)"),
        ("net.width=${sed}", "net.width: ${sed} points to sed, which does not exist, did you mean seed?"),
        ("net.width=${name}", "net.width=usual must be a whole number"),
        ("+model.net=1", "model.net is supplied by the program and cannot be set here (set net at the root)"),
        ("net._target_=fake_parts.Nett", "net: _target_ fake_parts.Nett does not exist, did you mean Net?"),
        ("net._target_=hydramol.nets.pain.X", "net: _target_ hydramol.nets.pain.X does not exist, did you mean painn?"),
        ("+net._args_=[1]", "unknown key net._args_; known here: act, cutoff, inner, width"),
    ],
)
def test_one_error_is_one_line(override: str, line: str) -> None:
    assert complaints(override) == [line]


@pytest.mark.parametrize("target", ["os.system", "builtins.eval", "subprocess.run", "torch.load", "fake_parts_evil.X"])
def test_targets_elsewhere_are_refused(target: str) -> None:
    (line,) = complaints(f"net._target_={target}")
    assert line.startswith(f"net: _target_ {target} is outside the allowed packages (hydramol, torch.optim")


def test_a_module_reached_through_ours_is_not_ours() -> None:
    (line,) = complaints("net._target_=hydramol.core.errors.annotations.sys.exit")
    assert "outside the allowed packages" in line or "does not exist" in line
    (line,) = complaints("net._target_=hydramol.core.batch.torch.load")
    assert "outside the allowed packages" in line


def test_extensions_allow_a_package_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "_trusted", set())
    assert complaints() == []
    monkeypatch.setattr(targets, "_trusted", set())
    assert any("outside the allowed packages" in line for line in complaints("extensions=[]"))


def test_new_entries_of_an_ordered_mapping_must_be_targets() -> None:
    assert complaints("+callbacks.third={_target_: fake_parts.Inner, depth: 1}") == []
    assert complaints("+callbacks.third={depth: 1}") == ["unknown key callbacks.third; known here: first, second"]
    assert complaints("callbacks=none", "+callbacks.third={_target_: fake_parts.Inner, depth: 1}") == []
    assert complaints("+callbacks.third={_target_: fake_parts.Inner, dept: 1}") == [
        "unknown key callbacks.third.dept, did you mean depth?",
        "callbacks.third.depth is missing; fake_parts.Inner requires it (give callbacks.third.depth=...)",
    ]


def test_lists_and_mappings_of_targets_are_walked() -> None:
    inner = "{_target_: fake_parts.Inner, dept: 1, depth: x}"
    assert complaints("net=listed", f"net.inner=[{inner}]") == [
        "unknown key net.inner[0].dept, did you mean depth?",
        "net.inner[0].depth=x must be a whole number",
    ]
    assert complaints("net=listed", f"net.inner=[[{{a: {inner}}}]]")[0] == (
        "unknown key net.inner[0][0].a.dept, did you mean depth?"
    )


def test_required_arguments() -> None:
    line = "net.inner.depth is missing; fake_parts.Inner requires it (give net.inner.depth=...)"
    assert complaints("~net.inner.depth") == [line]
    assert complaints("~optimizer.lr") == []  # a partial gets the rest later


def test_kwargs_take_listed_keys_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (
        complaints("+adapter={_target_: fake_parts.Greedy, lrr: 1}")[0] == "unknown key adapter.lrr, did you mean lr?"
    )
    monkeypatch.setattr("hydramol.runtime.check.signatures.EXTRA_KEYS", {"fake_parts.Greedy": ("rank",)})
    arguments_of.cache_clear()
    assert set(arguments_of(fake_parts.Greedy)) == {"lr", "rank"}
    arguments_of.cache_clear()


def test_a_name_for_type_checkers_only_spoils_no_other_argument() -> None:
    arguments = arguments_of(fake_parts.Inner)
    assert arguments["depth"].annotation is int
    assert arguments["depth"].required
    assert not arguments["exact"].required


def test_all_errors_at_once() -> None:
    lines = complaints("modle.lr=1", "net=wode", "x y", "+optimizer.lrr=1", "seed=abc", "sampler.n_samples=few")
    assert len(lines) == 6
    for word in ("modle", "wode", "x y", "lrr", "seed=abc", "n_samples=few"):
        assert any(word in line for line in lines), word


class TestPresets:
    def complaints(self, folder: Path, text: str) -> list[str]:
        write_tree(folder, {"experiment/mine": text})
        return complaints("experiment=mine", config_dir=folder)

    def test_sound(self, user_dir: Path) -> None:
        header = "# @package _global_\ndefaults: [/experiment/usual, _self_]\n"
        assert self.complaints(user_dir, header + "net: {cutoff: 3.0}") == []

    def test_unknown_keys(self, user_dir: Path) -> None:
        text = "# @package _global_\noptimizr: {lr: 1}\noptimizer: {lrr: 1}\nnet: {inner: {dept: 1}}\npaths: {rot: x}"
        assert self.complaints(user_dir, text) == [
            "unknown key net.inner.dept, did you mean depth?",
            "unknown key optimizer.lrr, did you mean lr?",
            "unknown key paths.rot, did you mean root?",
            "unknown key optimizr, did you mean optimizer?",
        ]

    def test_forgotten_header(self, user_dir: Path) -> None:
        assert self.complaints(user_dir, "seed: 3") == [
            "experiment=mine has no effect: its file must begin with the line '# @package _global_'"
        ]

    def test_unknown_group(self, user_dir: Path) -> None:
        text = "# @package _global_\ndefaults:\n  - override /modl: both\n"
        assert self.complaints(user_dir, text) == ["experiment/mine.yaml: unknown group modl, did you mean model?"]

    def test_unknown_option(self, user_dir: Path) -> None:
        text = "# @package _global_\ndefaults:\n  - override /net: narow\n"
        (line,) = self.complaints(user_dir, text)
        assert "net=narow: unknown option, did you mean narrow?" in line

    def test_broken_yaml(self, user_dir: Path) -> None:
        (line,) = self.complaints(user_dir, "# @package _global_\nnet: {width: [1\n")
        assert "\n" not in line
        assert "not valid YAML" in line
        assert "mine.yaml" in line


class TestGroups:
    def test_a_part_that_the_model_does_not_take(self) -> None:
        (line,) = complaints("adapter=lora")
        assert line.startswith("model=both does not accept adapter=lora; it takes net, transport, sampler, optimizer")

    def test_a_part_that_the_model_requires(self) -> None:
        assert complaints("~experiment", "net=none") == ["model=both needs a net, but net=none (choose net=...)"]

    def test_values_of_a_part_that_is_not_there(self) -> None:
        assert "net.width is set, but net=none has no keys" in complaints("net=none")

    def test_null_means_none(self) -> None:
        assert complaints("experiment=null", "net=null") == complaints("~experiment", "net=none")

    def test_optional_parts_may_be_left_out(self) -> None:
        assert complaints("sampler=none", "transport=none") == []


class TestNeeds:
    def test_unmet(self) -> None:
        assert complaints("transport=none") == [
            "sampler=plain needs 'discrete', which nothing chosen provides (provided by transport=discrete)"
        ]

    def test_met_by_arguments(self) -> None:
        (line,) = complaints("sampler=timed")
        assert line == "sampler=timed needs 'time', which nothing chosen provides (provided by model.heads=joint)"
        assert complaints("sampler=timed", "model.heads=joint") == []


def test_fixed_values() -> None:
    node = {"_target_": "x", "use_distributed_sampler": False, "inference_mode": False}
    assert list(check_fixed({"trainer": node})) == []
    for key in ("use_distributed_sampler", "inference_mode"):
        for changed in ({**node, key: True}, {name: value for name, value in node.items() if name != key}):
            (error,) = check_fixed({"trainer": changed})
            assert error.line.startswith(f"trainer.{key} must stay false: ")


def test_errors_carry_the_exit_code() -> None:
    config = OmegaConf.create({"net": {"_target_": "fake_parts.Net", "widht": 3, "cutof": 1}})
    with pytest.raises(ConfigErrors) as caught:
        check(config)
    assert caught.value.exit_code == 2
    assert len(caught.value.lines) == 2
    assert isinstance(caught.value, ConfigError)


@pytest.mark.parametrize(
    ("value", "annotation", "expected"),
    [
        (1, int, True),
        (True, int, False),
        (1.0, int, False),
        (1, float, True),
        ("1", float, False),
        ("a", str, True),
        (1, str, False),
        (1, bool, False),
        (None, int, False),
        (None, int | None, True),
        ("a", Literal["a", "b"], True),
        ("c", Literal["a", "b"], False),
        (1, Literal[True], False),
        ([1, 2], list[int], True),
        ([1, "a"], list[int], False),
        ([1, 2], tuple[int, int], True),
        ([1, 2, 3], tuple[int, int], False),
        ([1, 2, 3], tuple[int, ...], True),
        ([], Sequence[int], True),
        ("ab", Sequence[str], False),
        ({"a": 1}, Mapping[str, float], True),
        ({"a": "b"}, Mapping[str, float], False),
        ({"a": {"_target_": "x"}}, Mapping[str, float], True),
        ([{"_target_": "x"}], list[int], True),
        ("x", Path, True),
        (3, Path, False),
        (3, Any, True),
        (3, fake_parts.Net, False),
        ({"_target_": "x"}, fake_parts.Net, True),
    ],
)
def test_fits(value: Any, annotation: Any, expected: bool) -> None:
    if annotation is Path:  # paths are text in YAML
        expected = isinstance(value, str)
    assert fits(value, annotation) is expected
    assert describe(annotation)


def test_closest() -> None:
    assert closest("paint", ["schnet", "painn"]) == "painn"
    assert closest("LR", ["lr", "eps"]) == "lr"
    assert closest("qqq", ["lr", "eps"]) is None


def test_the_table_of_parts_is_that_of_assemble() -> None:
    assemble = pytest.importorskip("hydramol.runtime.assemble")
    assert set(assemble.PARTS) == set(PARTS)
    assert set(PARTS) < SUPPLIED["model"]
