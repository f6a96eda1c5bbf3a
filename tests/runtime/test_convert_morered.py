"""Converted checkpoints of MoreRed give the published numbers, and are all that sampling needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from hydramol.core.batch import Batch
from hydramol.core.errors import ConfigError
from hydramol.runtime.check import ConfigErrors
from hydramol.runtime.checkpoint import read_checkpoint
from hydramol.runtime.convert_morered import MoreRedCheckpoint
from hydramol.runtime.load import load_model

SMALL = ("data.max_heavy_atoms=4",)
HEADS = {
    "noise": ["noise_head"],
    "time": ["time_head_per_atom"],
    "joint": ["time_head_avg", "joint_head"],  # as published: a second time head that nobody listens to
}


class Golden:
    """One published case: weights in the published layout, inputs and outputs."""

    def __init__(self, folder: Path, case: str) -> None:
        self.io = np.load(folder / f"morered_painn_{case}_io.npz")
        self.weights = load_file(folder / f"morered_painn_{case}_weights.safetensors")
        self.batch = Batch(
            {"z": torch.from_numpy(self.io["Z"]), "pos": torch.from_numpy(self.io["R"])},
            {"atom": torch.from_numpy(self.io["n_atoms"])},
        )

    def layout(self, heads: str) -> dict[str, Tensor]:
        """The state_dict of a NeuralNetworkPotential with these heads."""
        places = {"representation.": "representation."}
        places |= {f"{head}.": f"output_modules.{number}." for number, head in enumerate(HEADS[heads])}
        return {
            place + name.removeprefix(old): weight
            for old, place in places.items()
            for name, weight in self.weights.items()
            if name.startswith(old)
        }

    def expect(self, name: str, found: Tensor) -> None:
        np.testing.assert_allclose(found.detach().numpy(), self.io[name], rtol=1e-5, atol=1e-5)


def save_lightning(state: dict[str, Tensor], path: Path) -> None:
    torch.save({"state_dict": {f"model.{name}": w for name, w in state.items()}, "global_step": 7}, path)


SAVERS = {"lightning.ckpt": save_lightning, "bare.pt": torch.save, "weights.safetensors": save_file}


def converted(source: Path, out: Path, overrides: tuple[str, ...] = SMALL) -> tuple[Any, dict[str, Any]]:
    MoreRedCheckpoint(source, out, overrides=overrides).run()
    checkpoint = read_checkpoint(out)
    config = checkpoint["hydramol"]["config"]
    raw = {**config, "model": {**config["model"], "postprocess": "none"}}  # published heads do not centre
    return load_model(checkpoint, raw), config


@pytest.mark.parametrize(
    ("heads", "case", "file"),
    [
        ("noise", "c5", "lightning.ckpt"),
        ("noise", "c3", "weights.safetensors"),
        ("time", "c5", "bare.pt"),
        ("time", "c3", "lightning.ckpt"),
        ("joint", "c5", "lightning.ckpt"),
        ("joint", "c3", "bare.pt"),
    ],
)
def test_published_numbers(golden: Path, tmp_path: Path, heads: str, case: str, file: str) -> None:
    published = Golden(golden, case)
    SAVERS[file](published.layout(heads), tmp_path / file)
    model, config = converted(tmp_path / file, tmp_path / "ours.ckpt")
    assert config["model"]["heads"] == heads
    assert config["net"]["cutoff"] == float(published.io["cutoff"])
    batch = published.batch
    if heads == "noise":
        first = torch.cumsum(batch.sizes["atom"], 0) - batch.sizes["atom"]
        time = torch.from_numpy(published.io["t_per_atom"])[first]
        published.expect("eps_pred_given_t", model.noise_head(model.net(batch), batch, time))
        step = model.transport.path.unnormalise(time)
        near = model.transport.path.normalise(step)
        noise = model.noise_head(model.net(batch), batch, near)
        torch.testing.assert_close(model.denoise(batch["pos"], step, batch).x, noise)
    elif heads == "time":
        published.expect("t_pred_per_atom", model(batch["pos"], None, batch).time)
        clipped = torch.from_numpy(published.io["t_pred_per_atom"]).clamp(0.0, 1.0)
        molecule = batch.mean(clipped[:, None])[:, 0]
        torch.testing.assert_close(model.predict_time(batch["pos"], batch), molecule, rtol=1e-5, atol=1e-5)
    else:
        found = model(batch["pos"], None, batch)
        published.expect("joint_t_pred", found.time)
        published.expect("joint_eps_pred", found.noise)


def test_overrides_reach_the_stored_configuration(golden: Path, tmp_path: Path) -> None:
    save_file(Golden(golden, "c5").layout("noise"), tmp_path / "w.safetensors")
    overrides = (*SMALL, "transport.path.schedule=cosine", "sampler.n_samples=3")
    model, config = converted(tmp_path / "w.safetensors", tmp_path / "o.ckpt", overrides)
    assert config["transport"]["path"]["schedule"] == "cosine"
    assert model.sampler.n_samples == 3
    with pytest.raises(ConfigErrors, match="schedul"):
        converted(tmp_path / "w.safetensors", tmp_path / "o.ckpt", ("transport.path.schedul=cosine",))


@pytest.mark.parametrize("override", ["net=painn_small", "net.cutoff=3.0", "experiment=morered_jt_molecules"])
def test_what_the_weights_decide_cannot_be_overridden(override: str) -> None:
    with pytest.raises(ConfigError, match="follows from the weights"):
        MoreRedCheckpoint("a.ckpt", "b.ckpt", overrides=(override,))


def test_the_input_is_not_overwritten() -> None:
    with pytest.raises(ValueError, match="another name"):
        MoreRedCheckpoint("a.ckpt", "./a.ckpt")
