"""From a published part to a shard in the cache, part by part; what is finished stays when a later part fails."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hydramol.core.errors import DataError, OutputError
from hydramol.core.files import writing
from hydramol.core.progress import progress
from hydramol.data.qm7x.files import Source, check_md5
from hydramol.data.qm7x.names import MINIMUM, parse
from hydramol.data.qm7x.shard import ShardWriter, open_hdf5
from hydramol.data.qm7x.unpack import unpack

Content = Literal["minima", "all"]
"""What a shard holds: minima alone, a hundredth of the data and quickly read, or displaced structures too."""

_VERSION = 1
"""Goes up whenever a conversion changes what it writes."""

_STALE_S = 24 * 3600.0

_log = logging.getLogger(__name__)


def shard_of(source: Source, content: Content, cache: Path, checksums: Mapping[str, str]) -> Path:
    """The shard of a part, made if it is not there yet.

    Args:
        source: The published part; its folder may be read-only.
        content: What is needed of it; a shard with all of it serves for the minima too.
        cache: Folder of shards; while a ``.xz`` file is converted, it holds the unpacked part too.
        checksums: MD5 by file name.

    Raises:
        DataError: The part is damaged or of another layout.
        OutputError: The cache cannot be written.
    """
    fingerprint = source.fingerprint()
    paths = {one: cache / f"qm7x-{source.part}-{fingerprint}-{one}-v{_VERSION}.h5" for one in ("all", content)}
    for path in paths.values():
        if path.is_file():
            return path
    _make_folder(cache)
    _log.info("converting QM7-X %s once; kept in %s", source.path.name, paths[content])
    with _unpacked(source, cache, checksums) as file:
        convert(file, paths[content], content)
    return paths[content]


@contextmanager
def _unpacked(source: Source, cache: Path, checksums: Mapping[str, str]) -> Iterator[Path]:
    """The HDF5 file of a part, beside the shards if it had to be unpacked, and gone again afterwards."""
    if not source.packed:
        if source.path.name in checksums:
            check_md5(_md5(source.path), source.path, checksums)
        yield source.path
        return
    temporary = cache / f".qm7x-{source.part}.{os.getpid()}.hdf5.tmp"
    try:
        try:
            unpack(source.path, temporary, checksums)
        except OSError as error:
            fix = "an unpacked part takes several gigabytes: free space, or set data.cache_dir"
            raise OutputError(f"could not be written: {error.strerror}", where=str(temporary), fix=fix) from error
        yield temporary
    finally:
        temporary.unlink(missing_ok=True)


def _md5(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _make_folder(cache: Path) -> None:
    """Makes the cache folder, and removes what killed conversions left there a day ago or earlier."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        for left in cache.glob(".qm7x-*.tmp"):
            if time.time() - left.stat().st_mtime > _STALE_S:
                left.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write: {error.strerror}", where=str(cache), fix="set data.cache_dir") from error


def convert(source: Path, target: Path, content: Content = "all") -> None:
    """Converts an unpacked part, molecule by molecule.

    Args:
        source: HDF5 file of the published layout: groups of molecules, in them groups of structures.
        target: The shard; stands there when it is whole.
        content: Whether displaced structures are wanted.

    Raises:
        DataError: The file is damaged or of another layout.
        OutputError: The shard cannot be written.
    """
    try:
        published = open_hdf5(source)
    except OSError as error:
        fix = "fetch or unpack it again"
        raise DataError(f"cannot be read as HDF5: {error}", where=str(source), fix=fix) from error
    with published, writing(target) as temporary, open_hdf5(temporary, "w") as out:
        writer = ShardWriter(out)
        with progress(len(published), f"converting {target.stem}") as advance:
            for molecule in published:
                _add_molecule(writer, published[molecule], content, f"{source.name}: {molecule}")
                advance(1)
        writer.flush()


def _add_molecule(writer: ShardWriter, molecule: Any, content: Content, where: str) -> None:
    for text in molecule:
        name = parse(text, where)
        if content == "all" or name.frame == MINIMUM:
            writer.add(name, *_structure(molecule[text], f"{where}/{text}"))


def _structure(group: Any, where: str) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Elements, positions (Angstrom), energy (eV) and RMSD from the minimum (Angstrom) of one structure."""
    try:
        z, pos, energy, rmsd = (np.asarray(group[key][()]) for key in ("atNUM", "atXYZ", "ePBE0+MBD", "sRMSD"))
    except KeyError as error:
        raise DataError(f"is not of the published layout: {error.args[0]}", where=where) from error
    except OSError as error:
        raise DataError(f"is damaged: {error}", where=where, fix="fetch or unpack the file again") from error
    if z.ndim != 1 or pos.shape != (len(z), 3) or energy.size != 1 or rmsd.size != 1 or not 0 < len(z) < 256:
        what = f"shapes {z.shape}, {pos.shape}, {energy.shape}, {rmsd.shape} of atNUM, atXYZ, ePBE0+MBD, sRMSD"
        raise DataError(f"is not of the published layout: {what}", where=where)
    return z, pos, float(energy.reshape(())), float(rmsd.reshape(()))
