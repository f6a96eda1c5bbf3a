"""Unpacking an ``.xz`` file in a stream: a few mebibytes of memory, and its MD5 is found on the way."""

from __future__ import annotations

import hashlib
import io
import lzma
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import BinaryIO, cast

from hydramol.core.errors import DataError
from hydramol.core.progress import progress
from hydramol.data.qm7x.files import check_md5

MEBIBYTE = 1 << 20


class _Counted(io.RawIOBase):
    """Passes bytes on, into a checksum and a counter too."""

    def __init__(self, content: BinaryIO, advance: Callable[[int], None]) -> None:
        self.md5 = hashlib.md5(usedforsecurity=False)
        self._content, self._advance, self._seen = content, advance, 0

    def readable(self) -> bool:
        """It can be read."""
        return True

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        found = self._content.read(size)
        self.md5.update(found)
        before, self._seen = self._seen, self._seen + len(found)
        if steps := self._seen // MEBIBYTE - before // MEBIBYTE:
            self._advance(steps)
        return found


def unpack(source: Path, target: Path, checksums: Mapping[str, str]) -> None:
    """Unpacks one file.

    Args:
        source: The ``.xz`` file.
        target: Where to; not to be used if this raises.
        checksums: MD5 by file name.

    Raises:
        DataError: The file is cut off, damaged, or not the published one.
    """
    again = "fetch it again"
    try:
        packed = source.open("rb")
    except OSError as error:
        raise DataError(f"cannot be read: {error.strerror}", where=str(source)) from error
    n_steps = source.stat().st_size // MEBIBYTE
    with packed as content, target.open("wb") as out, progress(n_steps, f"unpacking {source.name} (MiB)") as advance:
        counted = _Counted(content, advance)
        try:
            with lzma.LZMAFile(cast(BinaryIO, counted)) as stream:
                while block := stream.read(MEBIBYTE):
                    out.write(block)
        except EOFError as error:
            raise DataError("is cut off: the end of the xz stream is missing", where=str(source), fix=again) from error
        except lzma.LZMAError as error:
            raise DataError(f"is no sound xz file: {error}", where=str(source), fix=again) from error
    check_md5(counted.md5.hexdigest(), source, checksums)
