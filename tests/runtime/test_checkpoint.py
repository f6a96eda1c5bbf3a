"""Checkpoints: whole or absent, read without running code, refused with one line."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import pytest
import torch

from hydramol.core.errors import CheckpointError, OutputError
from hydramol.runtime import checkpoint as module
from hydramol.runtime.checkpoint import CONFIG_VERSION, SafeCheckpointIO, contents, read_checkpoint


def save(path: Path, **changes: object) -> Path:
    content = {
        "state_dict": {"w": torch.ones(2)},
        "hydramol": contents({"seed": 1}, {"v": torch.tensor(2.0)}),
        **changes,
    }
    SafeCheckpointIO().save_checkpoint(content, path)
    return path


def test_round_trip(tmp_path: Path) -> None:
    loaded = read_checkpoint(save(tmp_path / "a.ckpt"))
    assert loaded["hydramol"]["config"] == {"seed": 1}
    assert loaded["hydramol"]["config_version"] == CONFIG_VERSION
    assert loaded["hydramol"]["units"]["pos"] == "Angstrom"
    assert torch.equal(loaded["state_dict"]["w"], torch.ones(2))
    assert os.listdir(tmp_path) == ["a.ckpt"]


class Malicious:
    """Unpickling it would create a file."""

    def __init__(self, target: Path) -> None:
        self.target = str(target)

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (self.target, "w")


@pytest.mark.parametrize("saver", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_code_in_a_checkpoint_is_refused_and_does_not_run(tmp_path: Path, saver: object) -> None:
    trap, path = tmp_path / "trap", tmp_path / "evil.ckpt"
    saver({"state_dict": {}, "payload": Malicious(trap)}, path)  # type: ignore[operator]
    with pytest.raises(CheckpointError, match="refused") as caught:
        read_checkpoint(path)
    assert "\n" not in caught.value.line
    assert not trap.exists()


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        read_checkpoint(tmp_path / "none.ckpt")


@pytest.mark.parametrize("keep", [0, 10, 200, -20])
def test_truncated(tmp_path: Path, keep: int) -> None:
    path = save(tmp_path / "a.ckpt")
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    assert "\n" not in caught.value.line


def test_foreign(tmp_path: Path) -> None:
    path = tmp_path / "foreign.ckpt"
    torch.save({"state_dict": {}}, path)
    with pytest.raises(CheckpointError, match="not written by hydramol"):
        read_checkpoint(path)


def test_newer_version_is_refused(tmp_path: Path) -> None:
    ours = contents({}, {}) | {"config_version": CONFIG_VERSION + 1}
    with pytest.raises(CheckpointError, match="update hydramol"):
        read_checkpoint(save(tmp_path / "a.ckpt", hydramol=ours))


def test_older_version_is_upgraded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "a.ckpt")
    monkeypatch.setattr(module, "CONFIG_VERSION", CONFIG_VERSION + 1)
    monkeypatch.setitem(module.UPGRADES, CONFIG_VERSION, lambda config: {**config, "new": True})
    assert read_checkpoint(path)["hydramol"]["config"] == {"seed": 1, "new": True}


def test_full_disk_leaves_the_former_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "a.ckpt")
    before = path.read_bytes()

    def full(value: object, file: Path) -> None:
        Path(file).write_bytes(b"half")
        raise RuntimeError("[enforce fail at inline_container.cc] . PytorchStreamWriter failed writing file: No space")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OutputError, match="could not be written"):
        save(path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.ckpt"]


def test_unwritable_folder(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("not a folder")
    with pytest.raises(OutputError):
        save(blocker / "a.ckpt")
