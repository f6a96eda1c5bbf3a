"""Progress of long work: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

log = logging.getLogger(__name__)


@contextmanager
def progress(total: int, description: str, every_s: float = 20.0) -> Iterator[Callable[[int], None]]:
    """Shows how far some work is.

    Args:
        total: Steps of the whole.
        description: What is done.
        every_s: Seconds between plain lines.

    Yields:
        A function to call with the number of steps just done.
    """
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as bar:
            task = bar.add_task(description, total=total)
            yield lambda steps: bar.advance(task, steps)
        return

    done, started = 0, time.monotonic()
    last = started

    def advance(steps: int) -> None:
        nonlocal done, last
        done += steps
        now = time.monotonic()
        if now - last >= every_s and done < total:
            last = now
            left = (now - started) / done * (total - done)
            log.info("%s: %d of %d, about %.0f s left", description, done, total, left)

    yield advance
    log.info("%s: %d of %d in %.0f s", description, done, total, time.monotonic() - started)
