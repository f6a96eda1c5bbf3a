"""The four recipes of CONTRIBUTING.md do what the page says."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import ase
import ase.io
import numpy as np
import pytest
import torch
import yaml

from hydramol.core.batch import Batch
from hydramol.core.protocols import Output
from hydramol.core.randomness import Randomness
from hydramol.runtime.compose import composition
from hydramol.testing import check_padding
from hydramol.transport.discrete_path import DiscretePath
from hydramol.transport.prior import CentredGaussian
from hydramol.transport.transport import Transport

PAGE = "CONTRIBUTING.md"
GROUPS = {"data": "xyz_file", "net": "pairwise", "transform": "jitter", "sampler": "ddim"}
_RECIPE = re.compile(r"^`(my_\w+/[\w./]+)`\n\n```(?:python|yaml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def folder(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the files of the recipes, importable, and an XYZ file of water."""
    folder = tmp_path_factory.mktemp("recipes")
    files = {"my_parts/__init__.py": "", **dict(_RECIPE.findall((root / PAGE).read_text()))}
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    rng = np.random.default_rng(0)
    waters = [ase.Atoms("OHH", [[0, 0, 0], [0.96, 0, 0], [-0.24, 0.93, 0]]) for _ in range(40)]
    for water in waters:
        water.positions += 0.03 * rng.standard_normal((3, 3))
    ase.io.write(folder / "molecules.xyz", waters)
    sys.path.insert(0, str(folder))
    yield folder
    sys.path.remove(str(folder))


def part(module: str, name: str) -> type:
    """A class of a recipe."""
    return getattr(import_module(f"my_parts.{module}"), name)


def test_every_recipe_is_a_python_and_a_yaml_file(folder: Path) -> None:
    for group, option in GROUPS.items():
        text = (folder / "my_configs" / group / f"{option}.yaml").read_text()
        assert text.startswith("# "), "the first line says what the option is"
        assert yaml.safe_load(text)


def test_data_set(folder: Path) -> None:
    data = part("xyz_file", "XYZFile")(str(folder / "molecules.xyz"))
    assert {name: len(items) for name, items in data.splits.items()} == {"train": 32, "val": 4, "test": 4}
    batch = data.__getitems__([(0, 7), (0, 3)])
    expected = ase.io.read(folder / "molecules.xyz", index=7)
    torch.testing.assert_close(batch["pos"][:3].double().numpy(), expected.positions, rtol=0, atol=1e-5)
    assert batch["z"].tolist() == [8, 1, 1, 8, 1, 1]


def test_net_ignores_padding_and_turns_with_the_molecule(folder: Path, molecules: Batch) -> None:
    torch.manual_seed(0)
    net = part("pairwise", "Pairwise")(width=8)
    head = net.noise_head()
    time = torch.tensor([0.1, 0.5, 0.9])

    def predict(batch: Batch, time: torch.Tensor | None) -> torch.Tensor:
        return head(net(batch, time), batch, time)

    check_padding(predict, molecules, time)
    batch = molecules.to_layout("padded")
    turn, _ = torch.linalg.qr(torch.randn(3, 3, generator=torch.Generator().manual_seed(1)))
    turned = predict(batch.with_fields(pos=batch["pos"] @ turn), time)
    mask = batch.mask()
    torch.testing.assert_close(turned[mask], (predict(batch, time) @ turn)[mask], rtol=0, atol=1e-5)


def test_transform_belongs_to_the_item(folder: Path, molecules: Batch) -> None:
    jitter = part("jitter", "Jitter")(0.05)
    moved = jitter(molecules, Randomness(0, "train"))["pos"] - molecules["pos"]
    assert 0.02 < moved.std() < 0.08
    alone = molecules.select(torch.tensor([1]))
    torch.testing.assert_close(jitter(alone, Randomness(0, "train"))["pos"] - alone["pos"], moved[5:14])
    assert not torch.equal(jitter(molecules, Randomness(0, "train", epoch=1))["pos"] - molecules["pos"], moved)


def test_sampler_finds_the_only_molecule_of_a_perfect_denoiser(folder: Path, molecules: Batch) -> None:
    ddim = part("ddim", "DDIM")(max_steps=20)
    transport = Transport(DiscretePath(), CentredGaussian())
    clean = transport.prior.project(molecules["pos"].double(), molecules)

    def denoise(x: torch.Tensor, t: torch.Tensor, condition: Batch) -> Output:
        a, s = (condition.spread(value)[:, None] for value in transport.path.at(t))
        return Output((x.double() - a * clean) / s)

    samples = ddim.sample(denoise, transport, None, molecules, random=Randomness(0, "sample"))
    torch.testing.assert_close(samples.x, clean, rtol=0, atol=1e-4)
    assert samples.n_evals == 20


def errors(folder: Path, *overrides: str) -> list[str]:
    """What the configuration check says of some overrides, with the recipes' YAML files."""
    found = composition("train", ["experiment=null", *overrides], str(folder / "my_configs")).errors()
    return [error.line for error in found]


@pytest.mark.parametrize("group", GROUPS)
def test_check_accepts_each_recipe(folder: Path, group: str) -> None:
    path = ["data.path=molecules.xyz"] if group == "data" else []
    assert errors(folder, "extensions=[my_parts]", f"{group}={GROUPS[group]}", *path) == []


def test_check_refuses_a_package_that_is_not_named(folder: Path) -> None:
    recipe = (folder / "my_configs" / "net" / "pairwise.yaml").read_text()
    (folder / "my_configs" / "net" / "theirs.yaml").write_text(recipe.replace("my_parts", "their_parts"))
    (line,) = errors(folder, "extensions=[my_parts]", "net=theirs")
    assert "their_parts.pairwise.Pairwise" in line
    assert "extensions=[package]" in line


@pytest.mark.run
def test_recipes_train_together(root: Path, folder: Path) -> None:
    (command,) = re.findall(r"^python (train\.py (?:.*\\\n)*.*)$", (root / PAGE).read_text(), re.MULTILINE)
    short = ["trainer.max_epochs=1", "sampler.max_steps=5", "paths.output_dir=out"]
    done = subprocess.run(
        [sys.executable, root / "train.py", *shlex.split(command.replace("\\\n", " "))[1:], *short],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (folder / "out" / "checkpoints" / "best.ckpt").is_file()
    assert (folder / "out" / "report.html").is_file()
