"""Writes that survive a power cut: a file or folder is under its final name whole, or not there at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

TEMPORARY_SUFFIX = ".tmp"


@contextmanager
def atomic_file(path: Path, *, flush: bool = True) -> Iterator[BinaryIO]:
    """Open a binary file that appears as ``path``, whole, when the block ends without an error.

    Parameters
    ----------
    path : Path
        Final name; an existing file is replaced.
    flush : bool
        Also force file and folder to disk. Not needed for files that a crash discards anyway.
    """
    temporary = path.with_name(f".{uuid4().hex}{TEMPORARY_SUFFIX}")
    try:
        with open(temporary, "xb") as file:
            yield file
            if flush:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        drop_temporary(temporary)
        raise
    if flush:
        sync_folder(path.parent)


def drop_temporary(path: Path) -> None:
    """Delete a file that this process has made under a name of its own; what others may have made goes otherwise."""
    path.unlink(missing_ok=True)


def write_atomic(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` durably; whoever reads sees the old bytes or the new ones."""
    with atomic_file(path) as file:
        file.write(content)


def write_npy(file: BinaryIO, array: NDArray[Any]) -> None:
    """Write an array as ``numpy.save`` does, whose error on a full disk does not say that it is full."""
    array = np.ascontiguousarray(array)
    np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
    file.write(array.data)


def make_folder(folder: Path) -> None:
    """Make ``folder`` and its missing parents, durably; one that exists is left alone."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Force the names in ``folder`` to disk."""
    _sync(folder, os.O_RDONLY | os.O_DIRECTORY)


def flush_tree(folder: Path) -> None:
    """Force every file and folder below ``folder``, and itself, to disk, bottom up."""
    for place, _, files in os.walk(folder, topdown=False):
        for name in files:
            _sync(Path(place, name), os.O_RDONLY)
        sync_folder(Path(place))


def publish_folder(staged: Path, final: Path) -> None:
    """Flush the finished folder ``staged`` and rename it to ``final``.

    Raises
    ------
    FileExistsError
        Another writer published ``final`` first; ``staged`` is left where it is.
    """
    flush_tree(staged)
    try:
        os.rename(staged, final)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise FileExistsError(errno.EEXIST, "published by another writer", str(final)) from error
        raise
    sync_folder(final.parent)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
