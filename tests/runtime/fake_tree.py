"""A small tree of YAML files over fake parts, so that the check is tested without importing Lightning."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

import pytest

from hydramol.runtime.check import targets

FILES = {
    "train": """
        # A root
        defaults:
          - model: both
          - net: wide
          - transport: discrete
          - sampler: plain
          - adapter: none
          - optimizer: sgd
          - callbacks: two
          - paths: default
          - search: none
          - _self_
          - experiment: usual
        name: ${experiment_name:}
        seed: 42
        resume: null
        check: false
        optimized_metric: null
        extensions: [fake_parts]
        hydra:
          run: {dir: "${paths.output_dir}"}
          sweep: {dir: "${paths.output_dir}", subdir: "${hydra.job.num}"}
          output_subdir: null
    """,
    "sample": """
        # A root that starts from a checkpoint
        defaults:
          - paths: default
          - _self_
        name: sample
        ckpt: ???
        seed: 42
        check: false
        extensions: [fake_parts]
        hydra:
          run: {dir: "${paths.output_dir}"}
          sweep: {dir: "${paths.output_dir}", subdir: "${hydra.job.num}"}
          output_subdir: null
    """,
    "prepare": """
        defaults:
          - /prepare/data@data: molecules
          - _self_
        extensions: [fake_parts]
    """,
    "prepare/data/molecules": "_target_: fake_parts.Inner\ndepth: 1",
    "prepare/data/crystals": "_target_: fake_parts.Inner\ndepth: 2",
    "data/molecules": "_target_: fake_parts.Net",
    "model/both": "# Takes net, transport, sampler and optimizer\n_target_: fake_parts.Model\nheads: noise",
    "net/wide": """
        # A wide net
        _target_: fake_parts.Net
        width: 8
        cutoff: 5.0
        inner:
          _target_: fake_parts.Inner
          depth: 2
    """,
    "net/narrow": "# A narrow net\n_target_: fake_parts.Net\nwidth: 2",
    "net/listed": """
        # A net with a list of parts
        _target_: fake_parts.Net
        inner:
          - _target_: fake_parts.Inner
            depth: 2
          - first: {_target_: fake_parts.Inner, depth: 1}
    """,
    "net/none": "# No net\n{}",
    "transport/discrete": """
        # Steps
        _target_: fake_parts.Transport
        path: {_target_: fake_parts.DiscretePath}
        weights: {noise: 0.9, time: 0.1}
    """,
    "transport/none": "# None\n{}",
    "sampler/plain": "# Plain\n_target_: fake_parts.Sampler\nn_samples: 4",
    "sampler/timed": "# Needs a time head\n_target_: fake_parts.TimeSampler\nn_samples: 2",
    "sampler/none": "# None\n{}",
    "adapter/none": "# None\n{}",
    "adapter/lora": "# LoRA\n_target_: fake_parts.Inner\ndepth: 1",
    "optimizer/sgd": "# SGD\n_target_: fake_parts.optimizer\n_partial_: true\nlr: 0.1",
    "callbacks/two": """
        # Two
        first: {_target_: fake_parts.Inner, depth: 1}
        second: {_target_: fake_parts.Inner, depth: 2}
    """,
    "callbacks/none": "# None",
    "paths/default": "root: outputs\noutput_dir: ${paths.root}/${name}/${oc.env:HYDRAMOL_RUN_ID,local}",
    "search/none": "# @package _global_\n# No search",
    "experiment/usual": """
        # @package _global_
        # The usual one
        defaults:
          - override /net: wide
          - _self_
        net: {width: 16}
    """,
    "experiment/other": "# @package _global_\n# Another\ndefaults:\n  - override /net: narrow\n  - _self_\nseed: 7",
}


def write_tree(folder: Path, files: dict[str, str]) -> Path:
    """Writes YAML files by group and option."""
    for name, text in files.items():
        file = folder / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(dedent(text).lstrip("\n"))
    return folder


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Our YAML files, replaced by small ones."""
    folder = write_tree(tmp_path / "configs", FILES)
    for module in ("compose", "options"):
        monkeypatch.setattr(f"hydramol.runtime.{module}.config_folder", lambda: folder)
    monkeypatch.setattr(targets, "_trusted", {"fake_parts"})
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    return folder


@pytest.fixture
def user_dir(tmp_path: Path) -> Path:
    """A user's own folder of YAML files, still empty."""
    folder = tmp_path / "user"
    folder.mkdir()
    return folder
