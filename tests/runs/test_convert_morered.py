"""A published checkpoint, from the command line to structures; one with code in it is refused unless trusted."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

Door = Callable[..., subprocess.CompletedProcess[str]]


class Trap:
    """Unpickling it makes a folder."""

    def __init__(self, target: Path) -> None:
        self.target = str(target)

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (self.target,)


@pytest.mark.run
def test_a_published_checkpoint_draws_structures(door: Door, golden: Path, tmp_path: Path) -> None:
    weights = load_file(golden / "morered_painn_c5_weights.safetensors")
    places = {"representation.": "model.representation.", "noise_head.": "model.output_modules.0."}
    state = {
        place + name.removeprefix(old): weight
        for old, place in places.items()
        for name, weight in weights.items()
        if name.startswith(old)
    }
    trap, source, out = tmp_path / "trap", tmp_path / "published.ckpt", tmp_path / "ours.ckpt"
    torch.save({"state_dict": state, "hyper_parameters": {"model": Trap(trap)}}, source)
    asked = ["data=morered_checkpoint", f"data.input={source}", f"data.out={out}", "data.dataset=molecules_small"]

    refused = door("prepare", *asked)
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert "trust_checkpoint=true" in refused.stderr
    assert not trap.exists()
    assert not out.exists()

    trusted = door("prepare", *asked, "data.trust_checkpoint=true", "data.overrides=['data.max_heavy_atoms=4']")
    assert trusted.returncode == 0, trusted.stderr
    assert "heads noise" in trusted.stderr
    assert trap.exists()

    drawn = door("sample", f"ckpt={out}", "sampler.n_samples=2", "sampler.max_steps=3", f"out={tmp_path / 'drawn'}")
    assert drawn.returncode == 0, drawn.stderr
    assert list((tmp_path / "drawn").glob("samples/*/generated.extxyz"))
