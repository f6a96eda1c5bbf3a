"""The published files: which there are, where they lie, and whether they are whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hydramol.core.errors import DataError

PARTS = ("1000", "2000", "3000", "4000", "5000", "6000", "7000", "8000")
"""The eight parts, published as ``1000.xz`` ... ``8000.xz``."""

DUPLICATES = "DupMols.dat"

PUBLISHED_MD5: Mapping[str, str] = {
    "1000.xz": "b50c6a5d0a4493c274368cf22285503e",
    "2000.xz": "4418a813daf5e0d44aa5a26544249ee6",
    "3000.xz": "f7b5aac39a745f11436047c12d1eb24e",
    "4000.xz": "26819601705ef8c14080fa7fc69decd4",
    "5000.xz": "85ac444596b87812aaa9e48d203d0b70",
    "6000.xz": "787fc4a9036af0e67c034a30ad854c07",
    "7000.xz": "5ecce00a188410d06b747cb683d8d347",
    "8000.xz": "c893ae88b8f5c32541c3f024fc1daa45",
    DUPLICATES: "5d886ccac38877c8cb26c07704dd1034",
}
"""MD5 of the files of Zenodo record 4288677, as SchNetPack 2.1 checks them after fetching."""

_ENDS = 1 << 20


class Source(NamedTuple):
    """One part as it lies in the root: ``path`` is the ``.xz`` file, or the unpacked ``.hdf5``."""

    part: str
    path: Path

    @property
    def packed(self) -> bool:
        """Whether it has to be unpacked first."""
        return self.path.suffix == ".xz"

    def fingerprint(self) -> str:
        """Tells files of different content apart without reading gigabytes: size, and a mebibyte at either end."""
        size = self.path.stat().st_size
        found = hashlib.sha256(str(size).encode())
        with self.path.open("rb") as content:
            found.update(content.read(_ENDS))
            content.seek(max(_ENDS, size - _ENDS))
            found.update(content.read())
        return found.hexdigest()[:12]


def find_sources(root: Path, parts: Sequence[str | int]) -> list[Source]:
    """The parts in a folder; an unpacked one is preferred to a packed one.

    Raises:
        DataError: The folder or a part is missing, or a part is not one of the eight.
    """
    if not root.is_dir():
        raise DataError("no such folder", where=str(root), fix="data.root is the folder with 1000.xz ... 8000.xz")
    named = sorted({str(part) for part in parts})
    if not named or not set(named) <= set(PARTS):
        raise DataError(f"{named} are no parts of QM7-X", where="data.parts", fix=f"some of {', '.join(PARTS)}")
    sources = []
    for part in named:
        found = [path for ending in (".hdf5", ".xz") if (path := root / f"{part}{ending}").is_file()]
        if not found:
            fix = "fetch it from Zenodo record 4288677, or name the parts that are there: data.parts=[...]"
            raise DataError(f"neither {part}.xz nor {part}.hdf5 is there", where=str(root), fix=fix)
        sources.append(Source(part, found[0]))
    return sources


def read_checksums(asked: str | Mapping[str, str] | None) -> Mapping[str, str]:
    """The MD5 of each file that is to be checked.

    Args:
        asked: "published", a JSON file of ``{"1000.xz": "<md5>"}``, such a table itself, or None to check nothing.

    Raises:
        DataError: The file cannot be read or holds something else.
    """
    if asked is None:
        return {}
    if isinstance(asked, Mapping):
        return asked
    if asked == "published":
        return PUBLISHED_MD5
    try:
        table: Any = json.loads(Path(asked).expanduser().read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        fix = 'data.checksums is "published", null, or a JSON file'
        raise DataError(f"checksums cannot be read: {error}", where=asked, fix=fix) from error
    if not isinstance(table, dict) or not all(isinstance(value, str) for value in table.values()):
        raise DataError("no table of checksums", where=asked, fix='as {"1000.xz": "<md5>"}')
    return table


def check_md5(found: str, path: Path, checksums: Mapping[str, str]) -> None:
    """Compares an MD5 with the table; files that the table does not name pass.

    Raises:
        DataError: They differ.
    """
    stated = checksums.get(path.name)
    if stated is not None and found != stated.lower():
        fix = "fetch it again; data.checksums=null leaves the check out"
        raise DataError(f"MD5 is {found}, and should be {stated}", where=str(path), fix=fix)
