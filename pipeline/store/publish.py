"""Publishing: fill folders, and let them appear under their final names together, each one whole or not at all."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from pipeline.errors import CorpusDamaged
from pipeline.support.durable import make_folder, publish_folders
from pipeline.support.safe_files import remove_tree

logger = logging.getLogger(__name__)

RACE_ERRORS = {errno.ENOENT, errno.EEXIST, errno.ESTALE}
"""Errors that a writer gets if another one committed the group first. Other disk errors are raised."""


@dataclass(frozen=True, slots=True)
class Build:
    """A folder that is to be made of parts."""

    parts: Path
    """Folder of the parts, in which the new folder is filled."""
    final: Path
    """Name that the folder gets."""
    write: Callable[[Path], None]
    """Writes all files into the folder."""


def publish(builds: Sequence[Build]) -> list[bool]:
    """Fill folders, and publish them together. A folder that exists is left as it is.

    Returns
    -------
    list of bool
        For each folder, True if it is new, False if there was one of its name.
    """
    new = set()
    with ExitStack() as built:
        staged = [(folder, build.final) for build in builds
                  if (folder := built.enter_context(_folder_of(build))) is not None]
        for parent in {build.final.parent for build in builds}:
            make_folder(parent)
        # the writer of an existing group may have died before its name was on disk
        errors = publish_folders(staged, also={build.final.parent for build in builds})
        for (_, final), error in zip(staged, errors, strict=True):
            with _unless_committed(final):
                if error is not None:
                    raise error
                new.add(final)
    return [build.final in new for build in builds]


@contextmanager
def _folder_of(build: Build) -> Iterator[Path | None]:
    """Yield a filled folder, None if it exists under its final name; delete what is left of it."""
    folder = build.parts / f"group-{uuid4().hex}"
    is_filled = False
    try:
        if not build.final.exists():
            with _unless_committed(build.final):
                folder.mkdir(parents=True)
                with _same_folder(folder):
                    build.write(folder)
                is_filled = True
        yield folder if is_filled else None
    finally:
        remove_tree(build.parts, folder)


@contextmanager
def _same_folder(folder: Path) -> Iterator[None]:
    """Raise :class:`CorpusDamaged` if ``folder`` was replaced within the block.

    A task may outlive its run, which removes the staging folder. Zarr then silently makes the folder again, with only
    a part of the data.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)  # while this is open, no other folder gets its inode
    try:
        yield
        if not os.path.samestat(os.fstat(descriptor), os.stat(folder)):
            raise CorpusDamaged(f"{folder}: was removed while it was filled; run again")
    finally:
        os.close(descriptor)


@contextmanager
def _unless_committed(final: Path) -> Iterator[None]:
    """Ignore an error within the block if another process has committed the group, which may have removed the parts."""
    try:
        yield
    except Exception as error:
        if not final.is_dir() or (isinstance(error, OSError) and error.errno not in RACE_ERRORS):
            raise
        logger.info("%s: committed by another process meanwhile", final)
