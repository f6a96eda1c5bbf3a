from __future__ import annotations

import functools
import pickle

import fake_parts
import pytest
from omegaconf import OmegaConf

from hydramol.core.errors import ConfigError
from hydramol.runtime.build import build
from hydramol.runtime.check import targets

NET = {"_target_": "fake_parts.Net", "width": 3, "inner": {"_target_": "fake_parts.Inner", "depth": 1}}


@pytest.fixture(autouse=True)
def _trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "_trusted", {"fake_parts"})


def test_a_node_becomes_an_object() -> None:
    for node in (NET, OmegaConf.create(NET)):
        net = build(node)
        assert isinstance(net, fake_parts.Net)
        assert net.width == 3
        assert isinstance(net.inner, fake_parts.Inner)


def test_nothing_becomes_none() -> None:
    assert build(None) is None
    assert build({}) is None
    assert build(OmegaConf.create({})) is None


def test_an_ordered_mapping_becomes_a_dict_without_nulls() -> None:
    inner = {"_target_": "fake_parts.Inner", "depth": 1}
    built = build({"b": inner, "off": None, "a": inner})
    assert list(built) == ["b", "a"]
    assert all(isinstance(one, fake_parts.Inner) for one in built.values())


def test_containers_are_plain() -> None:
    payload, _ = build({"_target_": "fake_parts.holder", "payload": {"a": [1, {"b": 2}]}})
    assert payload == {"a": [1, {"b": 2}]}
    assert type(payload) is dict
    assert type(payload["a"]) is list


def test_extra_objects_arrive_untouched() -> None:
    payload = fake_parts.Payload(3)
    items = {"x": payload}
    got, got_items = build({"_target_": "fake_parts.holder"}, payload=payload, items=items)
    assert got is payload
    assert got_items is items


def test_partial_waits_for_the_rest_and_pickles() -> None:
    make = build({"_target_": "fake_parts.optimizer", "_partial_": True, "lr": 0.5})
    assert type(make) is functools.partial
    assert make([1]) == ([1], 0.5)
    assert pickle.loads(pickle.dumps(make))([1]) == ([1], 0.5)


@pytest.mark.parametrize(
    "node",
    [
        {"_target_": "os.system", "command": "true"},
        {"_target_": "fake_parts.Net", "inner": {"_target_": "os.system", "command": "true"}},
        {"_target_": "fake_parts.Net", "inner": [{"deep": {"_target_": "builtins.eval"}}]},
        {"callback": {"_target_": "subprocess.run"}},
        {"_target_": "fake_partsx.Net"},
        {"_target_": "hydramol.core.batch.__builtins__.eval"},
    ],
)
def test_targets_elsewhere_are_refused_before_anything_is_built(node: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="outside the allowed packages"):
        build(node)


def test_a_module_that_ours_imported_is_refused() -> None:
    with pytest.raises(ConfigError, match="outside the allowed packages"):
        build({"_target_": "hydramol.core.batch.torch.load", "f": "x"})


def test_values_that_a_constructor_refuses() -> None:
    with pytest.raises(ConfigError, match=r"net\.width=0: at least 1") as caught:
        build({**NET, "width": 0})
    assert caught.value.exit_code == 2
    with pytest.raises(ConfigError, match=r"fake_parts\.Inner: depth below 0"):
        build({**NET, "inner": {"_target_": "fake_parts.Inner", "depth": -1}})


def test_unset_values_do_not_pass() -> None:
    with pytest.raises(Exception, match="Missing mandatory value"):
        build(OmegaConf.create({"_target_": "fake_parts.Net", "width": "???"}))
