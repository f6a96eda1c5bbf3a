"""Writing results: a file stands under its final name only when it is whole."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydramol.core.errors import OutputError


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Gives a temporary name beside ``path`` and renames it there at the end, unless an error came first.

    Raises:
        OutputError: The file system refused (read-only folder, full disk).
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(
            f"could not be written: {error.strerror or error}",
            where=str(path),
            fix="free space or choose another folder",
        ) from error
    finally:
        if temporary.exists():
            temporary.unlink()


def write_text(path: Path, text: str) -> None:
    """Writes a whole text file."""
    with writing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any, default: Callable[[Any], Any] | None = None) -> None:
    """Writes a whole JSON file."""
    write_text(path, json.dumps(value, indent=2, default=default) + "\n")
