"""The doors, with the runtime behind them replaced by one that notes how it was called."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

import hydramol.runtime
from hydramol.cli import main as dispatcher
from hydramol.cli import train as train_door
from hydramol.cli.changes import disguise, reveal, split, top_key
from hydramol.cli.run_id import VARIABLE, set_run_id
from hydramol.cli.sample import main as sample
from hydramol.cli.train import main as train
from hydramol.core.errors import DataError
from hydramol.runtime.compose import compose, to_plain


class Recorder(types.ModuleType):
    """Stands for `hydramol.runtime.run`."""

    def __init__(self) -> None:
        super().__init__("hydramol.runtime.run")
        self.calls: list[tuple[str, DictConfig, list[str]]] = []
        self.answer: Callable[[DictConfig], Any] = lambda config: {"val/loss": float(config.seed)}

    def _note(self, door: str, config: DictConfig, overrides: list[str]) -> Any:
        self.calls.append((door, config, overrides))
        return self.answer(config)

    def train(self, config: DictConfig, overrides: list[str]) -> Any:
        return self._note("train", config, overrides)

    def sample(self, config: DictConfig, overrides: list[str]) -> Any:
        return self._note("sample", config, overrides)


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    recorder = Recorder()
    monkeypatch.setitem(sys.modules, "hydramol.runtime.run", recorder)
    monkeypatch.setattr(hydramol.runtime, "run", recorder, raising=False)
    return recorder


@pytest.fixture(autouse=True)
def _own_process_state(tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test starts as a fresh process in an empty folder would."""
    for name in (VARIABLE, "SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID", "HYDRAMOL_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    monkeypatch.chdir(tmp_path)
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    for handler in set(root.handlers) - set(handlers):
        root.removeHandler(handler)
        handler.close()
    root.handlers[:], root.level = handlers, level
    os.environ.pop(VARIABLE, None)


def code(door: Callable[[list[str]], None], *arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        door(list(arguments))
    assert isinstance(caught.value.code, int)
    return caught.value.code


# --- one run --------------------------------------------------------------------------------------------------------


def test_a_run_has_its_own_directory(runs: Recorder, tmp_path: Path) -> None:
    assert code(train, "experiment=other", "net.width=3") == 0
    ((door, config, overrides),) = runs.calls
    assert door == "train"
    assert (config.name, config.seed, config.net.width) == ("other", 7, 3)
    assert "hydra" not in config
    assert overrides == ["experiment=other", "net.width=3"]
    run_dir = Path(config.paths.output_dir)
    assert run_dir.parent == Path("outputs/other")
    assert run_dir.name == os.environ[VARIABLE]
    assert (tmp_path / run_dir).is_dir()
    assert Path.cwd() == tmp_path


def test_output_dir_sets_the_run_directory(runs: Recorder, tmp_path: Path) -> None:
    assert code(train, "paths.output_dir=here") == 0
    assert runs.calls[0][1].paths.output_dir == "here"
    assert (tmp_path / "here" / "train.log").is_file()
    assert not (tmp_path / "outputs").exists()


def test_hydra_run_dir_is_followed(runs: Recorder, tmp_path: Path) -> None:
    assert code(train, "hydra.run.dir=there") == 0
    assert Path(runs.calls[0][1].paths.output_dir) == tmp_path / "there"


def test_check_stops_after_the_check(runs: Recorder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert code(train, "check=true") == 0
    assert capsys.readouterr().out == (
        "ok: experiment=usual model=both net=wide transport=discrete sampler=plain optimizer=sgd callbacks=two\n"
    )
    assert runs.calls == []
    assert not (tmp_path / "outputs").exists()


def test_errors_are_lines_and_leave_nothing_behind(
    runs: Recorder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code(train, "modle.lr=1", "net=wode") == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        "error: net=wode: unknown option, did you mean wide? options: listed, narrow, none, wide\n"
        "error: unknown key modle, did you mean model?\n"
    )
    assert runs.calls == []
    assert not (tmp_path / "outputs").exists()


@pytest.mark.parametrize(
    ("raised", "exit_code", "line"),
    [
        (DataError("atom 3 is NaN", where="x.npz"), 1, "error: x.npz: atom 3 is NaN\n"),
        (KeyboardInterrupt(), 130, "error: interrupted\n"),
    ],
)
def test_errors_of_a_run(
    runs: Recorder, capsys: pytest.CaptureFixture[str], raised: BaseException, exit_code: int, line: str
) -> None:
    def answer(config: DictConfig) -> None:
        raise raised

    runs.answer = answer
    assert code(train) == exit_code
    assert capsys.readouterr().err == line


def test_bugs_and_debugging_keep_the_traceback(runs: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    def answer(config: DictConfig) -> None:
        raise ZeroDivisionError

    runs.answer = answer
    with pytest.raises(ZeroDivisionError):
        train([])
    monkeypatch.setenv("HYDRAMOL_DEBUG", "1")
    with pytest.raises(Exception, match="did you mean model"):
        train(["modle=1"])


def test_an_unwritable_place(runs: Recorder, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "taken").write_text("a file")
    assert code(train, "paths.output_dir=taken/run") == 1
    err = capsys.readouterr().err
    assert err.startswith("error: taken/run: cannot be written")
    assert err.count("\n") == 1


def test_unknown_flags(capsys: pytest.CaptureFixture[str]) -> None:
    assert code(train, "--hlep") == 2
    assert capsys.readouterr().err == "error: unrecognized arguments: --hlep (--help lists the flags)\n"


# --- run ids --------------------------------------------------------------------------------------------------------


def test_the_run_id_is_set_once() -> None:
    set_run_id()
    first = os.environ[VARIABLE]
    assert first.endswith(f"_{os.getpid()}")
    set_run_id()
    assert os.environ[VARIABLE] == first


def test_under_slurm_a_requeued_job_finds_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    set_run_id()
    assert os.environ.pop(VARIABLE) == "12"
    monkeypatch.setenv("SLURM_ARRAY_JOB_ID", "11")
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "3")
    set_run_id()
    assert os.environ[VARIABLE] == "11_3"


# --- sweeps ---------------------------------------------------------------------------------------------------------


def test_a_sweep_has_one_directory_a_job(runs: Recorder, tmp_path: Path) -> None:
    assert code(train, "-m", "net.width=3,4", "seed=1,2") == 0
    seen = [(config.net.width, config.seed) for _, config, _ in runs.calls]
    assert seen == [(3, 1), (3, 2), (4, 1), (4, 2)]
    directories = [Path(config.paths.output_dir) for _, config, _ in runs.calls]
    sweep = tmp_path / "outputs" / "usual" / os.environ[VARIABLE]
    assert directories == [sweep / str(number) for number in range(4)]
    assert all(directory.is_dir() for directory in directories)
    assert runs.calls[1][2] == ["net.width=3", "seed=2"]


def test_a_sweep_over_experiments(runs: Recorder) -> None:
    assert code(train, "-m", "experiment=usual,other") == 0
    assert [config.name for _, config, _ in runs.calls] == ["usual", "other"]
    assert "outputs/other/" in runs.calls[1][1].paths.output_dir


def test_every_job_is_checked_before_the_first(runs: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    assert code(train, "-m", "net.width=3,many,4", "+net.act=silu,sulu") == 2
    assert sorted(capsys.readouterr().err.splitlines()) == [
        "error: net.act=sulu must be one of silu, relu, did you mean silu?",
        "error: net.width=many must be a whole number",
    ]
    assert runs.calls == []


def test_a_sweep_may_be_checked_alone(runs: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    assert code(train, "-m", "net=wide,narrow", "check=true") == 0
    assert capsys.readouterr().out.count("ok: ") == 2
    assert runs.calls == []


def test_an_error_in_a_sweep_is_a_line(runs: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    def answer(config: DictConfig) -> Any:
        if config.seed == 2:
            raise DataError("broken")
        return {}

    runs.answer = answer
    assert code(train, "-m", "seed=1,2,3") == 1
    assert capsys.readouterr().err.splitlines()[-1] == "error: broken"
    assert len(runs.calls) == 3


def test_a_sweeper_gets_the_metric_it_optimises(runs: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    assert code(train, "optimized_metric=val/loss") == 0
    assert code(train, "optimized_metric=val/los") == 2
    assert capsys.readouterr().err == "error: optimized_metric=val/los: the run has no such scalar (it has val/loss)\n"


# --- stored configurations ------------------------------------------------------------------------------------------


def test_sample_sets_apart_what_the_checkpoint_says(runs: Recorder) -> None:
    assert code(sample, "ckpt=x.ckpt", "sampler=timed", "sampler.n_samples=3", "seed=5") == 0
    ((door, config, changes),) = runs.calls
    assert (door, config.ckpt, config.seed) == ("sample", "x.ckpt", 5)
    assert changes == ["sampler=timed", "sampler.n_samples=3"]
    assert set(config) == {"name", "ckpt", "seed", "check", "extensions", "paths"}


def test_sample_sweeps_over_samplers(runs: Recorder) -> None:
    assert code(sample, "-m", "ckpt=x.ckpt", "sampler=plain,timed", "sampler.n_samples=1,2") == 0
    assert [changes for _, _, changes in runs.calls] == [
        [f"sampler={name}", f"sampler.n_samples={count}"] for name in ("plain", "timed") for count in (1, 2)
    ]
    assert "stored_option" not in runs.calls[0][1]


def test_sample_complains_about_keys_of_neither(capsys: pytest.CaptureFixture[str]) -> None:
    assert code(sample, "ckpt=x", "smapler=plain") == 2
    assert capsys.readouterr().err == "error: unknown key smapler, did you mean sampler?\n"
    assert code(sample) == 2
    assert capsys.readouterr().err == "error: ckpt has no value yet (give ckpt=...)\n"


def test_resume_goes_on_in_its_own_directory(runs: Recorder, tmp_path: Path) -> None:
    run = tmp_path / "old=run"
    run.mkdir()
    OmegaConf.save(OmegaConf.create(to_plain(compose("train", ["~experiment"]))), run / "config.yaml")
    assert code(train, f"resume='{run}'", "net.cutoff=3") == 0
    ((_, config, changes),) = runs.calls
    assert config.resume == str(run)
    assert Path(config.paths.output_dir) == run
    assert changes == ["net.cutoff=3"]
    assert (run / "train.log").is_file()
    assert not (tmp_path / "outputs").exists()


def test_resume_is_checked_against_what_the_run_says(
    runs: Recorder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    OmegaConf.save(OmegaConf.create(to_plain(compose("train", ["~experiment"]))), tmp_path / "config.yaml")
    assert code(train, f"resume={tmp_path}", "check=true", "sampler.n_sample=1") == 2
    assert capsys.readouterr().err == "error: unknown key sampler.n_sample, did you mean n_samples?\n"
    assert code(train, f"resume={tmp_path / 'absent'}") == 2
    assert "no run directory" in capsys.readouterr().err
    assert runs.calls == []


@pytest.mark.parametrize(
    ("override", "key"),
    [("sampler=ddpm", "sampler"), ("+a.b=1", "a"), ("~c", "c"), ("hydra/launcher=basic", "hydra"), ("d@e=f", "d")],
)
def test_top_key(override: str, key: str) -> None:
    assert top_key(override) == key


def test_disguises_come_off() -> None:
    overrides = ["sampler=ddpm", "sampler.n=3", "+sampler.m=a=b"]
    assert reveal(["ckpt=x", *map(disguise, overrides)]) == ["sampler=ddpm", "sampler.n=3", "sampler.m=a=b"]
    assert split(["ckpt=x", "sampler=y", "hydra.verbose=true"], ["ckpt"]) == (
        ["ckpt=x", "hydra.verbose=true"],
        ["sampler=y"],
    )


# --- looking --------------------------------------------------------------------------------------------------------


def test_cfg_prints_the_configuration(capsys: pytest.CaptureFixture[str]) -> None:
    assert code(train, "--cfg", "job", "net.width=3") == 0
    shown = OmegaConf.create(capsys.readouterr().out)
    assert (shown.name, shown.net.width) == ("usual", 3)
    assert code(train, "--cfg", "job", "--package", "net.inner") == 0
    assert OmegaConf.create(capsys.readouterr().out).depth == 2
    assert code(train, "--cfg", "hydra") == 0
    assert "launcher" in capsys.readouterr().out


def test_info(capsys: pytest.CaptureFixture[str]) -> None:
    assert code(train, "--info", "defaults") == 0
    assert "experiment/usual" in capsys.readouterr().out


def test_tab_completion(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    line = "hydramol train net="
    monkeypatch.setenv("COMP_LINE", line)
    monkeypatch.setenv("COMP_POINT", str(len(line)))
    assert code(dispatcher.main, "-sc", "query=bash") == 0
    assert set(capsys.readouterr().out.split()) >= {"net=wide", "net=narrow"}


def test_a_folder_of_the_user(runs: Recorder, user_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (user_dir / "experiment").mkdir()
    (user_dir / "experiment" / "mine.yaml").write_text("# @package _global_\n# My own\nseed: 99\n")
    assert code(train, "--config-dir", str(user_dir), "experiment=mine") == 0
    assert (runs.calls[0][1].seed, runs.calls[0][1].name) == (99, "mine")
    assert code(train, "--config-dir", "absent") == 2
    assert capsys.readouterr().err == "error: --config-dir absent: no such folder\n"


def test_distill_is_refused_clearly(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.undo()
    from hydramol.cli.distill import main as distill

    assert code(distill) == 2
    assert capsys.readouterr().err.startswith("error: the distiller is not built yet")
    os.environ.pop(VARIABLE, None)


def test_list(capsys: pytest.CaptureFixture[str], tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hydramol.cli.list.config_folder", lambda: tree)
    assert code(dispatcher.main, "list", "net") == 0
    assert capsys.readouterr().out.splitlines() == [
        "net=listed  A net with a list of parts",
        "net=narrow  A narrow net",
        "net=none    No net",
        "net=wide    A wide net",
    ]
    assert code(dispatcher.main, "list") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("=")[0] for line in lines[:2]] == ["experiment", "experiment"]
    assert code(dispatcher.main, "list", "nett") == 2
    assert capsys.readouterr().err.startswith("error: no group nett, did you mean net?")


def test_the_dispatcher(runs: Recorder, capsys: pytest.CaptureFixture[str]) -> None:
    assert code(dispatcher.main, "train", "seed=3") == 0
    assert runs.calls[0][1].seed == 3
    assert code(dispatcher.main, "trian") == 2
    assert capsys.readouterr().err == "error: no command trian, did you mean train? (hydramol --help lists them)\n"
    assert code(dispatcher.main) == 0
    page = capsys.readouterr().out
    assert all(name in page for name in dispatcher.DOORS)


def in_process(script: str, root: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(root / "src")}
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment)


def test_help_brings_nothing_heavy(root: Path) -> None:
    script = """
import sys
from hydramol.cli import main
for arguments in (["--help"], ["train", "--help"], ["sample", "--help"], ["prepare", "--help"], ["evaluate", "-h"]):
    try:
        main.main(arguments)
    except SystemExit as exit:
        assert exit.code == 0, exit.code
heavy = {"torch", "pytorch_lightning", "hydra", "omegaconf", "numpy"} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root / "src")},
    )
    assert done.returncode == 0, done.stderr
    assert "net=painn" in done.stdout
    assert "usage: hydramol sample" in done.stdout


def test_a_mistyped_key_costs_no_import_of_torch(root: Path) -> None:
    script = """
import sys
from hydramol.cli.train import main
try:
    main(["modle.lr=1"])
except SystemExit as exit:
    assert exit.code == 2, exit.code
assert "torch" not in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root / "src")},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "error: unknown key modle, did you mean model?\n"


@pytest.mark.parametrize("name", ["train", "distill", "sample"])
def test_the_doors_of_the_clone_are_short(root: Path, name: str) -> None:
    lines = (root / f"{name}.py").read_text().splitlines()
    assert len(lines) < 10


def test_the_help_of_train_names_every_group() -> None:
    page = train_door.help_page()
    for word in ("net ", "sampler ", "experiment ", "seed:", "--multirun", "examples:"):
        assert word in page, word
