"""What all doors share: help at once, errors as lines, exit codes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from hydramol.cli.run_id import set_run_id
from hydramol.core.errors import HydramolError


def run_door(work: Callable[[], None]) -> int:
    """Runs what a door does and turns errors into lines on stderr and an exit code.

    With HYDRAMOL_DEBUG=1 errors keep their tracebacks.
    """
    try:
        work()
    except KeyboardInterrupt:
        return _say(["interrupted"], 130)
    except HydramolError as error:
        if os.environ.get("HYDRAMOL_DEBUG") == "1":
            raise
        return _say(getattr(error, "lines", [error.line]), error.exit_code)
    return 0


def hydra_door(root: str, argv: Sequence[str] | None, help_page: Callable[[], str], refusal: str | None = None) -> int:
    """A door whose root is a YAML file.

    Args:
        root: Name of the YAML file and of the function in `hydramol.runtime.run`.
        argv: Arguments after the door's name; those of the process by default.
        help_page: Makes the page for ``--help``.
        refusal: Why the door cannot run yet, said once the configuration composes.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if "--help" in arguments or "-h" in arguments:
        print(help_page())
        return 0
    set_run_id()
    # Threads of torch that wait for each other by spinning cost tenfold where a core is shared; read when torch loads.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

    def work() -> None:
        from hydramol.cli.command import Command  # brings Hydra, which help does without

        Command(root, arguments, refusal).execute()

    return run_door(work)


def _say(lines: Sequence[str], exit_code: int) -> int:
    for line in lines:
        print(f"error: {line}", file=sys.stderr)
    return exit_code
