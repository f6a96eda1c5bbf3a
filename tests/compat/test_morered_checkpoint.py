"""Checkpoints of MoreRed: every name finds its place, what is unknown is refused, and code in a file does not run."""

from __future__ import annotations

import os
import pickle
import sys
import types
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from hydramol.compat.morered_checkpoint import convert, read_state_dict
from hydramol.core.errors import CheckpointError
from hydramol.nets.atomwise import Atomwise
from hydramol.nets.painn import PaiNN
from hydramol.nets.time_input import TimeInput

F = 8


def layout(*heads: str, shared_filters: bool = False, n_head_layers: int = 3, n_time_layers: int = 3) -> dict:
    """A state_dict in the published layout, of random weights."""
    net = PaiNN(F, 2, 5, 4.0, TimeInput("head"), shared_filters=shared_filters, max_z=20, n_head_layers=n_head_layers)
    state = {f"representation.{name}": weight for name, weight in net.state_dict().items()}
    time = Atomwise(F, n_layers=n_time_layers, aggregation=None).state_dict()
    for number, head in enumerate(heads):
        place = f"output_modules.{number}"
        if head in ("noise", "joint"):
            state |= {f"{place}.{name}": weight for name, weight in net.noise_head().state_dict().items()}
        if head in ("time", "joint"):
            inner = f"{place}.time_outnet" + (".time_outnet" if head == "joint" else "")
            state |= {f"{inner}.{name}": weight + number for name, weight in time.items()}
    return state


@pytest.mark.parametrize("prefix", ["", "model.", "task.model."])
def test_shape_and_names(prefix: str) -> None:
    state = layout("noise", shared_filters=True, n_head_layers=2)
    found = convert({f"{prefix}{name}": weight for name, weight in state.items()}, "here")
    assert (found.heads, found.takes_time, found.n_head_layers) == ("noise", True, 2)
    assert (found.n_atom_basis, found.n_interactions, found.n_rbf, found.cutoff) == (F, 2, 5, 4.0)
    assert (found.max_z, found.shared_filters) == (20, True)
    net = PaiNN(F, 2, 5, 4.0, TimeInput("head"), shared_filters=True, max_z=20, n_head_layers=2)
    for part, module in {"net": net, "noise_head": net.noise_head()}.items():
        own = {name.removeprefix(f"{part}."): w for name, w in found.state.items() if name.startswith(f"{part}.")}
        module.load_state_dict(own, strict=True)
    assert len(found.state) == len(state)


def test_time_head() -> None:
    found = convert(layout("time"), "here")
    assert (found.heads, found.takes_time, found.n_head_layers) == ("time", False, None)
    Atomwise(F, n_layers=3).load_state_dict(_part(found.state, "time_head"), strict=True)


def test_the_noise_head_listens_to_the_time_head_inside_it() -> None:
    state = layout("time", "joint")
    found = convert(state, "here")
    assert found.heads == "joint"
    used = _part(found.state, "time_head")["outnet.2.bias"]
    assert torch.equal(used, state["output_modules.1.time_outnet.time_outnet.outnet.2.bias"])
    assert not torch.equal(used, state["output_modules.0.time_outnet.outnet.2.bias"])


def _without(state: dict[str, Tensor], part: str) -> dict[str, Tensor]:
    return {name: weight for name, weight in state.items() if part not in name}


@pytest.mark.parametrize(
    ("state", "what"),
    [
        ({}, "no state_dict of a MoreRed model"),
        ({**layout("noise"), "ema.representation.embedding.weight": torch.ones(1)}, "2 weights end in"),
        (layout(), "neither a noise head nor a time head"),
        (layout("noise", "noise"), "several heads of one kind"),
        (layout("noise", "time"), "do not know each other"),
        (layout("time", n_time_layers=2), "time head of 2 layers"),
        ({**layout("noise"), "representation.radial_basis.freqs.x": torch.ones(1)}, "radial_basis.freqs"),
        (
            {**layout("noise"), "output_modules.1.outnet.0.weight": torch.ones(1)},
            r"no PaiNN of MoreRed has: output_mod",
        ),
        (_without(layout("noise"), "cutoff_fn"), "lacks a part"),
        (_without(layout("noise"), "outnet.0.mix_vectors"), "lacks a part"),
        ({**layout("noise"), "representation.embedding.weight": torch.ones(20, F - 1)}, "filters for 2 rounds of 7"),
        ({**layout("noise"), "output_modules.0.outnet.0.scalar_net.0.weight": torch.ones(F, 15)}, "3 time channels"),
        ({**layout("joint"), "output_modules.0.outnet.0.scalar_net.0.weight": torch.ones(F, 12)}, "does not take"),
    ],
)
def test_what_is_no_such_model_is_refused(state: dict[str, Tensor], what: str) -> None:
    with pytest.raises(CheckpointError, match=what) as caught:
        convert(state, "here.ckpt")
    assert caught.value.line.startswith("here.ckpt: ")


# --- files -----------------------------------------------------------------------------------------------------------


class Trap:
    """Unpickling it makes a folder."""

    def __init__(self, target: Path) -> None:
        self.target = str(target)

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self.target,)


def assert_same(found: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], weight) for name, weight in wanted.items())


def test_files_of_tensors(tmp_path: Path) -> None:
    state = layout("noise")
    torch.save(state, tmp_path / "bare.pt")
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "lightning.ckpt")
    save_file(state, tmp_path / "weights.safetensors")
    for name in ("bare.pt", "lightning.ckpt", "weights.safetensors"):
        assert_same(read_state_dict(tmp_path / name), state)


@pytest.mark.parametrize("saver", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_code_in_a_file_is_refused_and_does_not_run(tmp_path: Path, saver) -> None:
    trap, path = tmp_path / "trap", tmp_path / "model.ckpt"
    saver({"state_dict": layout("noise"), "hyper_parameters": Trap(trap)}, path)
    with pytest.raises(CheckpointError, match="trust_checkpoint=true") as caught:
        read_state_dict(path)
    assert "\n" not in caught.value.line
    assert not trap.exists()


def test_code_in_a_trusted_file(tmp_path: Path) -> None:
    trap, path, state = tmp_path / "trap", tmp_path / "model.ckpt", layout("noise")
    torch.save({"state_dict": state, "hyper_parameters": Trap(trap)}, path)
    assert_same(read_state_dict(path, trust_checkpoint=True), state)
    assert trap.exists()


def test_whole_modules_when_trusted(tmp_path: Path) -> None:
    net = PaiNN(F, 2, 5, 4.0)
    torch.save(net, tmp_path / "module.pt")
    with pytest.raises(CheckpointError, match="refused"):
        read_state_dict(tmp_path / "module.pt")
    assert_same(read_state_dict(tmp_path / "module.pt", trust_checkpoint=True), net.state_dict())


def test_a_trusted_module_of_a_package_that_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = types.ModuleType("no_such_package")
    package.Net = type("Net", (), {"__module__": "no_such_package"})
    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "no_such_package", package)
        torch.save(package.Net(), tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match=r"not installed here.*no_such_package"):
        read_state_dict(tmp_path / "model.pt", trust_checkpoint=True)


@pytest.mark.parametrize("trust", [False, True])
@pytest.mark.parametrize("keep", [0, 10, 200, -20])
@pytest.mark.parametrize("name", ["a.pt", "a.safetensors"])
def test_truncated(tmp_path: Path, name: str, keep: int, trust: bool) -> None:
    path = tmp_path / name
    (save_file if name.endswith("safetensors") else torch.save)(layout("noise"), path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError) as caught:
        read_state_dict(path, trust)
    assert "\n" not in caught.value.line


@pytest.mark.parametrize("content", [torch.ones(2), {"state_dict": {"a": 1}}, {"state_dict": {}}, [1]])
def test_no_state_dict(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="no state_dict"):
        read_state_dict(tmp_path / "a.pt")


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        read_state_dict(tmp_path / "none.pt")


def _part(state: dict[str, Tensor], part: str) -> dict[str, Tensor]:
    return {name.removeprefix(f"{part}."): weight for name, weight in state.items() if name.startswith(f"{part}.")}
