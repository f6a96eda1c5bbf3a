"""Trial processes: who needs too much is stopped, who fails for another reason is heard."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hydramol.core.errors import ConfigError, HydramolError
from hydramol.runtime.find_batch_size import trials as module
from hydramol.runtime.find_batch_size.trials import Trials
from tests.runtime.find_batch_size import fake_trials

MB = 2**20


@pytest.fixture
def trials(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Trials]:
    def make(serve: Any, cap: float, **config: Any) -> Trials:
        monkeypatch.setattr(module, "serve", serve)
        return Trials(config, {}, cap)

    return make


def items(n: int) -> list[np.ndarray]:
    return [np.arange(n)]


def test_a_process_lives_until_a_step_is_too_large(trials) -> None:
    with trials(fake_trials.honest, cap=10.5) as found:
        first, second = found.peak(items(2)), found.peak(items(10))
        assert int(first), int(second) == (2, 10)
        assert first - 2 == pytest.approx(second - 10)  # the same process
        assert found.peak(items(11)) is None
        third = found.peak(items(5))
        assert int(third) == 5  # a new one, which does not remember 11
        assert third - 5 != pytest.approx(first - 2)
        process = found._process
    assert process is not None
    assert process.exitcode is not None  # nothing is left behind


@pytest.mark.parametrize(("device", "fits"), [("cpu", False), ("cuda", True)])
def test_a_greedy_step_is_stopped_on_a_cpu(trials, device: str, fits: bool) -> None:
    """On a GPU the cap is on its memory, not on the process."""
    with trials(fake_trials.greedy, cap=200 * MB, device=device) as found:
        assert (found.peak(items(1)) is not None) == fits


def test_a_process_too_large_from_the_start(trials) -> None:
    with trials(fake_trials.greedy, cap=1 * MB, device="cpu") as found:
        assert found.peak(items(1)) is None
        assert found.peak(items(1)) is None


def test_killed_by_the_system_means_too_large(trials) -> None:
    with trials(fake_trials.killed, cap=1000 * MB) as found:
        assert found.peak(items(1)) is None


def test_other_failures_are_told(trials) -> None:
    with trials(fake_trials.broken, cap=1000 * MB) as found, pytest.raises(HydramolError, match="exit code 3"):
        found.peak(items(1))
    with trials(fake_trials.elsewhere, cap=1000 * MB) as found, pytest.raises(ConfigError, match="not mps"):
        found.peak(items(1))


@pytest.mark.parametrize("exit_code", [1, 2])
def test_errors_of_the_user_keep_line_and_exit_code(trials, exit_code: int) -> None:
    with trials(fake_trials.complaining, cap=1000 * MB, exit_code=exit_code) as found:
        with pytest.raises(HydramolError, match=r"^net.width: is odd$") as caught:
            found.peak(items(1))
        assert caught.value.exit_code == exit_code
