"""Writes that survive a power cut: a file or folder either has its final name and is complete, or does not exist."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from pipeline.support.disk_faults import naming

TEMPORARY_SUFFIX = ".tmp"
"""Suffix of a file that is still being written."""
MAX_FLUSHES = 16
"""Largest number of files that wait for the disk at the same time."""


@contextmanager
def atomic_file(path: Path, *, flush: bool = True) -> Iterator[BinaryIO]:
    """Open a binary file that appears as ``path``, complete, when the block ends without an error.

    Parameters
    ----------
    path : Path
        Final name. An existing file is replaced.
    flush : bool
        Also force the file and its folder to disk. Files that are discarded after a crash do not need this.

    Yields
    ------
    binary file
        A temporary file in the same folder. It is deleted if the block raises an error.
    """
    temporary = path.with_name(f".{uuid4().hex}{TEMPORARY_SUFFIX}")
    try:
        with naming(path):
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
    """Delete a temporary file that this process made under a random name.

    Only this process knows the name, so the file cannot be anyone else's. Use :mod:`pipeline.support.safe_files` to
    delete files that others may have made.
    """
    path.unlink(missing_ok=True)


def write_atomic(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` durably. Readers see either the old bytes or the new bytes, never a mixture."""
    with atomic_file(path) as file:
        file.write(content)


def write_npy(file: BinaryIO, array: NDArray[Any]) -> None:
    """Write an array in the format of ``numpy.save``.

    If the disk is full, the error says so. The error of ``numpy.save`` does not.
    """
    array = np.ascontiguousarray(array)
    np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
    file.write(array.data)


def make_folder(folder: Path) -> None:
    """Make ``folder`` and its missing parents, durably. Do nothing if it exists."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folder(folder.parent)


def sync_folder(folder: Path) -> None:
    """Force the list of names in ``folder`` to disk."""
    _sync(folder, os.O_RDONLY | os.O_DIRECTORY)


def publish_folder(staged: Path, final: Path) -> None:
    """Force the finished folder ``staged`` to disk and rename it to ``final``.

    Raises
    ------
    FileExistsError
        Another writer has published ``final`` already. ``staged`` is left in place.
    """
    (error,) = publish_folders([(staged, final)])
    if error is not None:
        raise error


def publish_folders(folders: Sequence[tuple[Path, Path]], also: Collection[Path] = ()) -> list[OSError | None]:
    """Force finished folders to disk, all at once, and rename each when it is there.

    A disk takes milliseconds for each flush, and hardly more for several at once.

    Parameters
    ----------
    folders : sequence of (staged, final)
        A finished folder, and the name that it gets.
    also : collection of Path
        Further folders whose lists of names are forced to disk.

    Returns
    -------
    list of OSError or None
        For each folder, the error that left it in place: a ``FileExistsError`` if another writer has published
        ``final`` already.
    """
    from concurrent.futures import ThreadPoolExecutor  # only writers need it

    errors: list[OSError | None] = []
    with ThreadPoolExecutor(MAX_FLUSHES) as pool:
        # with many folders, one thread flushes all of a folder: handing over each file would take longer than its flush
        divide = _one_by_one if len(folders) < MAX_FLUSHES else _together
        flushes = [[pool.submit(_sync_all, paths) for paths in divide(_tree(staged))] for staged, _ in folders]
        for (staged, final), of_folder in zip(folders, flushes, strict=True):
            try:
                for flush in of_folder:
                    flush.result()
                _rename(staged, final)
                errors.append(None)
            except OSError as error:
                errors.append(error)
    for parent in sorted({*also, *(final.parent for _, final in folders)}):
        sync_folder(parent)
    return errors


def _tree(folder: Path) -> Iterator[tuple[Path, int]]:
    """Yield ``folder`` and every file and folder below it, starting at the bottom, with the flags to open them."""
    for place, _, files in os.walk(folder, topdown=False):
        for name in files:
            yield Path(place, name), os.O_RDONLY
        yield Path(place), os.O_RDONLY | os.O_DIRECTORY


def _rename(staged: Path, final: Path) -> None:
    try:
        os.rename(staged, final)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise FileExistsError(errno.EEXIST, "published by another writer", str(final)) from error
        raise


def _one_by_one(paths: Iterable[tuple[Path, int]]) -> list[list[tuple[Path, int]]]:
    return [[path] for path in paths]


def _together(paths: Iterable[tuple[Path, int]]) -> list[list[tuple[Path, int]]]:
    return [list(paths)]


def _sync_all(paths: Iterable[tuple[Path, int]]) -> None:
    """Force files and folders to disk, one after the other."""
    for path, flags in paths:
        _sync(path, flags)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
