"""Deleting and moving things in a folder that others may have filled: never through a link, and only one's own.

A corpus may be a stranger's, or lie on a disk on which other programs leave their files. A symbolic link in it can
point to anything the user may write. So every delete and every rename goes through here. A path is walked from its
root, each folder opened relative to the one before and never through a link. The root itself may be a link: the user
has named it.

Only links are refused that something would be changed through. Reading through one does no harm, so searches work on.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.errors import CorpusDamaged

OWN = re.compile(
    r"[A-Za-z0-9_][A-Za-z0-9_-]*(\.np[yz])?"  # columns, arrays, chunks, spools, cells, groups in the making
    r"|(zarr|digests|segment)\.json"
    r"|part-[0-9]{5,}(\.[A-Za-z0-9_-]+)?\.np[yz]"
    r"|[A-Za-z0-9][A-Za-z0-9_.+-]*_[0-9a-f]{4,}"  # parts of a source
    r"|[A-Za-z0-9][A-Za-z0-9_.+-]*\.partial"
    r"|\.[0-9a-f]{4,32}\.tmp"
)
"""Names of files and folders inside a group, a segment, a projection or a run's staging folder."""
DEEPEST = 32
"""Folders in folders that are looked into. The program's own are less than ten deep."""
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def is_own(name: str) -> bool:
    """Tell whether the program may have given a file or folder inside one of its folders this name."""
    return OWN.fullmatch(name) is not None


def refuse_link(path: Path) -> None:
    """Raise :class:`CorpusDamaged` if there is a symbolic link at ``path``."""
    if path.is_symlink():
        raise CorpusDamaged(f"{path}: {link_message(path)}; {link_remedy(path)}")


def link_message(path: Path) -> str:
    """Say where a link points to."""
    try:
        return f"is a link to {os.readlink(path)}"
    except OSError:
        return "is a link"


def link_remedy(path: Path) -> str:
    """Say what to do about a link."""
    return (f"nothing is written, moved or deleted through a link: put what belongs to the corpus in its place, or "
            f"remove the link with: unlink {path.name}")


def move(root: Path, old: Path, new: Path) -> None:
    """Rename ``old`` to ``new``, both below ``root``; a link at either, or on the way, is :class:`CorpusDamaged`."""
    with _parent(root, old) as source, _parent(root, new) as target:
        _refuse_link_in(source, old)
        _refuse_link_in(target, new)
        os.rename(old.name, new.name, src_dir_fd=source, dst_dir_fd=target)


def remove_file(root: Path, path: Path) -> None:
    """Delete a regular file below ``root``. What else bears its name, or is gone, is left as it is."""
    with suppress(FileNotFoundError), _parent(root, path) as parent:
        if stat.S_ISREG(os.stat(path.name, dir_fd=parent, follow_symlinks=False).st_mode):
            os.unlink(path.name, dir_fd=parent)


def remove_tree(root: Path, path: Path) -> None:
    """Delete a folder below ``root``, so far as what is in it is the program's own (:func:`is_own`).

    Other files stay, and so do the folders that they are in. A link inside goes, never what it points to. What cannot
    be deleted, or is gone, is left to the next who cleans up.

    Raises
    ------
    CorpusDamaged
        ``path``, or a folder on the way to it, is a link.
    """
    with suppress(OSError), _parent(root, path) as parent:
        _remove(parent, path, DEEPEST)


def remove_empty(root: Path, path: Path) -> None:
    """Delete a folder below ``root`` if it is empty; one that is not, is a link or is gone, is left as it is."""
    with suppress(OSError, CorpusDamaged), _parent(root, path) as parent:
        os.rmdir(path.name, dir_fd=parent)


def _remove(parent: int, path: Path, deepest: int) -> None:
    descriptor = _opened(parent, path)
    try:
        with os.scandir(descriptor) as entries:
            inside = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries if is_own(entry.name)]
        for name, is_folder in inside:
            with suppress(OSError):
                if not is_folder:
                    os.unlink(name, dir_fd=descriptor)
                elif deepest:
                    _remove(descriptor, path / name, deepest - 1)
    finally:
        os.close(descriptor)
    os.rmdir(path.name, dir_fd=parent)


@contextmanager
def _parent(root: Path, path: Path) -> Iterator[int]:
    """Open the folder that ``path`` is in, from ``root`` on through no link."""
    relative = path.relative_to(root)
    if not relative.parts or ".." in relative.parts:
        raise ValueError(f"{path} is not below {root}")
    descriptor, at = os.open(root, _FOLDER & ~os.O_NOFOLLOW), root
    try:
        for name in relative.parts[:-1]:
            at = at / name
            deeper = _opened(descriptor, at)
            os.close(descriptor)
            descriptor = deeper
        yield descriptor
    finally:
        os.close(descriptor)


def _opened(parent: int, path: Path) -> int:
    try:
        return os.open(path.name, _FOLDER, dir_fd=parent)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            _refuse_link_in(parent, path)
        raise


def _refuse_link_in(parent: int, path: Path) -> None:
    with suppress(FileNotFoundError):
        if stat.S_ISLNK(os.stat(path.name, dir_fd=parent, follow_symlinks=False).st_mode):
            raise CorpusDamaged(f"{path}: {link_message(path)}; {link_remedy(path)}")
