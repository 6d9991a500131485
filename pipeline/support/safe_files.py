"""Safe deletes and renames in folders that others may have filled.

A corpus may come from a stranger, or lie on a disk where other programs leave their files. A symbolic link in it can
point to anything that the user may write. So every delete and every rename goes through this module, for two reasons:
nothing is changed through a link, and only the program's own files are deleted.

A path is walked from its root. Each folder is opened relative to the one before, and never through a link. The root
itself may be a link, because the user has named it.

Reading through a link does no harm and is not refused, so searches still work.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.errors import CorpusDamaged

OWN_NAMES = re.compile(
    r"[A-Za-z0-9_][A-Za-z0-9_-]*(\.np[yz])?"  # columns, arrays, chunks, spools, cells, unfinished groups
    r"|(zarr|digests|group|segment|overview)\.json"
    r"|c(\.[0-9]+)+"
    r"|part-[0-9]{5,}(\.[A-Za-z0-9_-]+)?\.np[yz]"
    r"|[A-Za-z0-9][A-Za-z0-9_.+-]*_[0-9a-f]{4,}(\+[a-z0-9]+)?"  # parts of a source, a view or an overview
    r"|[A-Za-z0-9][A-Za-z0-9_.+-]*\.partial"
    r"|\.[0-9a-f]{4,32}\.tmp"
)
"""Names that the program gives to files and folders inside a group, segment, projection or staging folder."""
MAX_FOLDER_DEPTH = 32
"""Maximum depth of nested folders that are deleted or inspected. The program's own folders are less than ten deep."""
_ASIDE = "old-"  # begin of the names of folders that are being deleted
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def is_own(name: str) -> bool:
    """Tell whether ``name`` is one that the program gives to files or folders inside its own folders."""
    return OWN_NAMES.fullmatch(name) is not None


def refuse_link(path: Path) -> None:
    """Check that there is no symbolic link at ``path``.

    Raises
    ------
    CorpusDamaged
        There is one.
    """
    if path.is_symlink():
        raise CorpusDamaged(f"{path}: {link_message(path)}; {link_remedy(path)}")


def link_message(path: Path) -> str:
    """Return words that say where a link points to."""
    try:
        return f"is a link to {os.readlink(path)}"
    except OSError:
        return "is a link"


def link_remedy(path: Path) -> str:
    """Return words that say what the user can do about a link."""
    return (f"nothing is written, moved or deleted through a link: put what belongs to the corpus in its place, or "
            f"remove the link with: unlink {path.name}")


def move(root: Path, old: Path, new: Path) -> None:
    """Rename ``old`` to ``new``. Both must be below ``root``.

    Raises
    ------
    CorpusDamaged
        Either path, or a folder on the way to it, is a link.
    ValueError
        A path is not below ``root``.
    """
    with _parent(root, old) as source, _parent(root, new) as target:
        _refuse_link_in(source, old)
        _refuse_link_in(target, new)
        os.rename(old.name, new.name, src_dir_fd=source, dst_dir_fd=target)


def date_folder(root: Path, path: Path, at_s: int) -> None:
    """Set the time of change of a folder below ``root``, in Unix seconds. Of a link, its own time is set.

    Raises
    ------
    CorpusDamaged
        A folder on the way to it is a link.
    OSError
        It does not exist, or belongs to somebody else.
    """
    with _parent(root, path) as parent:
        os.utime(path.name, (at_s, at_s), dir_fd=parent, follow_symlinks=False)


def remove_file(root: Path, path: Path) -> None:
    """Delete a regular file below ``root``. Do nothing if the path is something else or does not exist."""
    with suppress(FileNotFoundError), _parent(root, path) as parent:
        if stat.S_ISREG(os.stat(path.name, dir_fd=parent, follow_symlinks=False).st_mode):
            os.unlink(path.name, dir_fd=parent)


def remove_tree(root: Path, path: Path) -> None:
    """Delete what the program itself may have made (:func:`is_own`) in a folder below ``root``, and the empty folder.

    Other files stay, and so do the folders that contain them. A link inside the folder is deleted, but never its
    target. A file that cannot be deleted stays for the next clean-up. Nothing happens if the folder does not exist.

    Raises
    ------
    CorpusDamaged
        ``path``, or a folder on the way to it, is a link.
    """
    with suppress(OSError), _parent(root, path) as parent:
        _remove(parent, path, MAX_FOLDER_DEPTH)


def discard(folder: Path) -> None:
    """Delete a folder of a cache with all that is in it. Its folder must be one that only this user can change.

    It gets another name first, so that nobody opens a part of it. What cannot be deleted stays under that name, for
    :func:`discard_left`.
    """
    aside = Path(tempfile.mkdtemp(prefix=_ASIDE, dir=folder.parent))
    os.replace(folder, aside / folder.name)
    shutil.rmtree(aside, ignore_errors=True)


def discard_left(parent: Path) -> None:
    """Delete what processes left in a folder that died while they discarded folders of it."""
    for left in parent.glob(f"{_ASIDE}*"):
        shutil.rmtree(left, ignore_errors=True)


def remove_empty(root: Path, path: Path) -> None:
    """Delete a folder below ``root`` if it is empty. Do nothing if it is not, if it is a link, or if it does not exist.
    """
    with suppress(OSError, CorpusDamaged), _parent(root, path) as parent:
        os.rmdir(path.name, dir_fd=parent)


def _remove(parent: int, path: Path, depth_left: int) -> None:
    """Delete the program's own files in a folder, then the folder itself if it is empty.

    Parameters
    ----------
    parent : int
        File descriptor of the folder that contains it.
    path : Path
        The folder.
    depth_left : int
        Maximum depth of folders inside it that are deleted, too.
    """
    descriptor = _open_folder(parent, path)
    try:
        with os.scandir(descriptor) as entries:
            inside = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries if is_own(entry.name)]
        for name, is_folder in inside:
            with suppress(OSError):
                if not is_folder:
                    os.unlink(name, dir_fd=descriptor)
                elif depth_left:
                    _remove(descriptor, path / name, depth_left - 1)
    finally:
        os.close(descriptor)
    os.rmdir(path.name, dir_fd=parent)


@contextmanager
def _parent(root: Path, path: Path) -> Iterator[int]:
    """Open the folder that contains ``path``, from ``root`` and through no link. Yields its file descriptor."""
    relative = path.relative_to(root)
    if not relative.parts or ".." in relative.parts:
        raise ValueError(f"{path} is not below {root}")
    descriptor, at = os.open(root, _FOLDER & ~os.O_NOFOLLOW), root
    try:
        for name in relative.parts[:-1]:
            at = at / name
            deeper = _open_folder(descriptor, at)
            os.close(descriptor)
            descriptor = deeper
        yield descriptor
    finally:
        os.close(descriptor)


def _open_folder(parent: int, path: Path) -> int:
    """Open the folder ``path`` in the open folder ``parent``. A link raises :class:`CorpusDamaged`."""
    try:
        return os.open(path.name, _FOLDER, dir_fd=parent)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            _refuse_link_in(parent, path)
        raise


def _refuse_link_in(parent: int, path: Path) -> None:
    """Raise :class:`CorpusDamaged` if ``path`` in the open folder ``parent`` is a link."""
    with suppress(FileNotFoundError):
        if stat.S_ISLNK(os.stat(path.name, dir_fd=parent, follow_symlinks=False).st_mode):
            raise CorpusDamaged(f"{path}: {link_message(path)}; {link_remedy(path)}")
