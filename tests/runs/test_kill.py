"""kill -9 at random moments: the resumed run ends where the undisturbed one does."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hydramol.runtime.checkpoint import load_file
from tests.runtime.test_exact_resume import assert_same


def start(root: Path, folder: Path, *overrides: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(root / "train.py"), *overrides]
    with (folder / "said.txt").open("ab") as said:
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=said)


def finish(process: subprocess.Popen[bytes], folder: Path) -> None:
    assert process.wait(timeout=300) == 0, (folder / "said.txt").read_text()


@pytest.mark.slow
def test_killed_run_ends_as_the_undisturbed_one(root: Path, tmp_path: Path, tiny: Callable[[str], list[str]]) -> None:
    settings = [
        *(one for one in tiny("morered_ddpm_molecules") if "limit_train_batches" not in one),
        "task.n_denoised=0", "task.n_generated=0", "trainer.max_epochs=6", "batching.batch_size=4", "net.dropout=0.1",
        "data.loader.num_workers=1", "callbacks.last.every_n_epochs=null", "callbacks.last.every_n_train_steps=1",
        "callbacks.last.save_on_train_epoch_end=false", "logger=csv",
    ]  # fmt: skip
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    finish(start(root, tmp_path, *settings, f"paths.output_dir={whole}"), tmp_path)

    seed = random.randrange(10**6)
    print(f"moments drawn with seed {seed}")
    moments = random.Random(seed)
    last = killed / "checkpoints" / "last.ckpt"
    process = start(root, tmp_path, *settings, f"paths.output_dir={killed}")
    kills = 0
    while kills < 3:
        waited = time.monotonic()
        before = last.stat().st_mtime_ns if last.exists() else None
        while process.poll() is None and (not last.exists() or last.stat().st_mtime_ns == before):
            assert time.monotonic() - waited < 240, "no checkpoint"
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 0.5))
        if process.poll() is not None:
            break  # the run was quicker than the killer
        process.send_signal(signal.SIGKILL)
        process.wait()
        kills += 1
        load_file(last)  # a file under its final name is never half written
        process = start(root, tmp_path, f"resume={killed}")
    finish(process, tmp_path)
    assert kills, "the run ended before it could be killed once"

    one, other = load_file(whole / "checkpoints" / "last.ckpt"), load_file(last)
    assert one["global_step"] == other["global_step"]
    for part in ("state_dict", "current_model_state", "optimizer_states"):
        assert_same(other[part], one[part], part)
    # The metrics of both runs agree too: a resumed run takes the file over.
    assert (whole / "metrics.csv").read_text().splitlines()[-1] == (killed / "metrics.csv").read_text().splitlines()[-1]
