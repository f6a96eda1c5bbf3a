"""Trial steps in processes of their own, watched from here: who needs too much is stopped before it takes it all."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from torch import Tensor

from hydramol.core.errors import ConfigError, HydramolError
from hydramol.runtime.find_batch_size.trial import serve

LOOK_EVERY_S = 0.02
"""A training step takes a few GB a second at most: what it can take between two looks is little."""


class Trials:
    """Measures training steps, each larger than the one before unless that one was too large.

    The peak of a process never falls, so a step that was too large ends its process and the next one starts in a new
    one. Processes are fresh interpreters: a script of your own that trains with a cap needs
    ``if __name__ == "__main__":``.

    Args:
        config: Plain, resolved configuration.
        statistics: Of the training split.
        cap: Bytes.
    """

    def __init__(self, config: Mapping[str, Any], statistics: Mapping[str, Tensor], cap: float) -> None:
        self.config = config
        self.statistics = {name: value.numpy() for name, value in statistics.items()}  # travels without shared memory
        self.cap = cap
        self._process: BaseProcess | None = None
        self._connection: Connection
        self._watched = False

    def __enter__(self) -> Trials:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def peak(self, batches: Sequence[np.ndarray]) -> float | None:
        """Highest memory of steps on these batches, bytes; None if it is above the cap.

        Raises:
            HydramolError: The steps failed for another reason.
        """
        if self._process is None and not self._start():
            return None
        self._connection.send(tuple(tuple(items.tolist()) for items in batches))
        peak = self._answer()
        if peak is None or peak > self.cap:
            self._stop()
            return None
        return float(peak)

    def _start(self) -> bool:
        """Starts a process; False if it is too large before its first step."""
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(theirs, self.config, self.statistics), daemon=True)
        self._process.start()
        theirs.close()  # so that a process that dies closes the last end of the pipe
        self._watched = False
        device = self._answer()
        if device not in ("cpu", "cuda", None):
            raise ConfigError(f"find_batch_size measures cpu and cuda, not {device}", where="trainer.accelerator")
        self._watched = device == "cpu"  # on a GPU the cap is on its memory
        if device is None or (self._watched and _resident(self._process.pid) > self.cap):
            self._stop()
            return False
        return True

    def _stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._connection.close()
            self._process = None

    def _answer(self) -> Any:
        """What the process says next; None if it ran out of memory, by the cap or without."""
        assert self._process is not None
        while not self._connection.poll(LOOK_EVERY_S):
            if self._watched and _resident(self._process.pid) > self.cap:
                return None
        try:
            said = self._connection.recv()
        except EOFError:
            self._process.join()
            if self._process.exitcode == -signal.SIGKILL:  # the system's own answer to too little memory
                return None
            raise HydramolError(
                f"the trial of a training step died with exit code {self._process.exitcode}",
                where="find_batch_size",
                fix="its last words are above; the run itself would fail too",
            ) from None
        if isinstance(said, tuple):
            exit_code, line = said
            raise (ConfigError if exit_code == ConfigError.exit_code else HydramolError)(line)
        return said


def _resident(pid: int | None) -> int:
    """Resident memory of a process, bytes; 0 where the system does not say."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    except OSError:
        return 0  # no Linux, or it has just ended, which the pipe will tell
    return 0
