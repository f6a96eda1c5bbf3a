"""Processes that stand for `hydramol.runtime.find_batch_size.trial.serve`; they import little and start at once."""

from __future__ import annotations

import os
import signal
import sys
import time
from multiprocessing.connection import Connection
from typing import Any


def honest(connection: Connection, config: Any, statistics: Any) -> None:
    """A step on n items peaks at n bytes, never less than any step before; the answer also tells who gave it."""
    connection.send("cuda")
    peak = 0
    while True:
        (items,) = connection.recv()
        peak = max(peak, len(items))
        connection.send(peak + 1e-9 * os.getpid())


def greedy(connection: Connection, config: Any, statistics: Any) -> None:
    """Takes 300 MB for the first step and keeps them."""
    connection.send(config["device"])
    connection.recv()
    kept = bytearray(os.urandom(1) * 300 * 2**20)
    time.sleep(1.0)
    connection.send(len(kept) / 2**20)


def killed(connection: Connection, config: Any, statistics: Any) -> None:
    connection.send("cpu")
    connection.recv()
    os.kill(os.getpid(), signal.SIGKILL)


def broken(connection: Connection, config: Any, statistics: Any) -> None:
    connection.send("cpu")
    connection.recv()
    sys.exit(3)


def complaining(connection: Connection, config: Any, statistics: Any) -> None:
    connection.send((config["exit_code"], "net.width: is odd"))


def elsewhere(connection: Connection, config: Any, statistics: Any) -> None:
    connection.send("mps")
