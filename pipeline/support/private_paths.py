"""Checks whether other users can change what is at a path.

A file that decides which code runs must be safe from others. This module looks at the owner and the mode of the path,
and of every folder and symbolic link on the way to it. The owner must be this user or root. Nobody else may have
permission to write, because whoever can write to a folder can replace what is in it. Folders with the sticky bit, such
as ``/tmp``, are an exception: nobody can replace another user's files there.
"""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import ConfigError

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
"""Mode bits that let the group or everybody write."""
OWNER_ONLY = 0o700
"""Mode of a private folder."""
_MAX_LINKS = 40
"""Maximum number of symbolic links that are followed on the way to a path."""


@dataclass(frozen=True, slots=True)
class Exposure:
    """One reason why others can change what is at a path."""

    path: Path
    """The path itself, or a folder or link on the way to it."""
    fault: str
    """The reason, as words that follow the path in a message."""
    remedy: str
    """Shell command that removes the reason."""

    def __str__(self) -> str:
        return f"{self.path} {self.fault}"


def exposures(path: Path) -> tuple[Exposure, ...]:
    """Return the reasons why others can change what is at ``path``; empty if only this user and root can.

    If ``path`` does not exist, the folders in which it would be made are checked.
    """
    found, steps = [], []
    is_there = True
    try:
        for step in _steps(path):
            steps.append(step)
    except FileNotFoundError:
        is_there = False
    except OSError as error:
        found.append(Exposure(path, f"cannot be examined ({error.strerror})", f"ls -ld {path}"))
    for number, (place, status) in enumerate(steps):
        is_last = is_there and number == len(steps) - 1
        found += _step_exposures(place, status, is_last)
    return tuple(found)


def file_exposures(folder: Path, suffixes: tuple[str, ...]) -> tuple[Exposure, ...]:
    """Return the reasons why others can have changed files in ``folder``. Only some ``suffixes`` are checked.

    The folder itself must be safe (:func:`exposures`). Others may have put files into it before it became safe, so
    their owners are checked here. Modes of files do not matter if nobody else can enter the folder.
    """
    found: list[Exposure] = []
    with os.scandir(folder) as entries:
        can_enter = folder.stat().st_mode & (stat.S_IXGRP | stat.S_IXOTH)
        for entry in entries:
            if entry.name.endswith(suffixes):
                status = entry.stat(follow_symlinks=False)
                if status.st_uid not in _trusted_owners() or stat.S_ISLNK(status.st_mode) or (
                        can_enter and status.st_mode & _OTHERS_WRITE):
                    found.append(Exposure(Path(entry.path), "is a link, is another user's or can be written by others",
                                          f"rm {entry.path}"))
    return tuple(found)


def make_closed_folder(path: Path, mode: int = 0o755) -> None:
    """Make a folder and its missing parents with permissions ``mode``, so that others cannot write to them.

    The umask can only remove permissions, so it cannot make the folders writable.
    """
    if path.is_dir():
        return
    make_closed_folder(path.parent, mode)
    path.mkdir(mode=mode, exist_ok=True)


def user_cache() -> Path:
    """Return this program's folder in the user's cache, which may not exist: ``$XDG_CACHE_HOME`` or ``~/.cache``."""
    return _own_folder("XDG_CACHE_HOME", "~/.cache")


def user_configuration() -> Path:
    """Return this program's folder in the user's configuration, which may not exist.

    It is in ``$XDG_CONFIG_HOME`` or ``~/.config``.
    """
    return _own_folder("XDG_CONFIG_HOME", "~/.config")


def _own_folder(variable: str, default: str) -> Path:
    """Return this program's folder in the one that a variable names. A relative path is ignored, as the XDG rules say.
    """
    named = os.environ.get(variable, "")
    return Path(named if os.path.isabs(named) else os.path.expanduser(default)) / "lookalike"


def make_private_folder(folder: Path) -> None:
    """Make a folder that only this user can read; raise :class:`ConfigError` if others can read or change it."""
    try:
        make_closed_folder(folder.parent)
        folder.mkdir(mode=OWNER_ONLY, exist_ok=True)
        mode = stat.S_IMODE(folder.stat().st_mode)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be made ({error.strerror}); set XDG_CACHE_HOME to another folder"
                          ) from error
    if mode & ~OWNER_ONLY:
        raise ConfigError(f"{folder}: others can read it (mode {mode:o}); run: chmod 700 {folder}")
    if found := exposures(folder):
        raise ConfigError(f"{found[0]}, so others can change what is kept there; run: {found[0].remedy}")


def _steps(path: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield each folder and link from the root to ``path``, through all links on the way, with its own status."""
    remaining, place, links = deque(path.absolute().parts[1:]), Path("/"), 0
    yield place, os.lstat(place)
    while remaining:
        part = remaining.popleft()
        if part == "..":
            place = place.parent
            continue
        status = os.lstat(place / part)
        yield place / part, status
        if not stat.S_ISLNK(status.st_mode):
            place = place / part
            continue
        links += 1
        if links > _MAX_LINKS:
            raise OSError(f"more than {_MAX_LINKS} links")
        target = Path(os.readlink(place / part))
        remaining.extendleft(reversed(target.parts[1:] if target.is_absolute() else target.parts))
        place = Path("/") if target.is_absolute() else place


def _step_exposures(place: Path, status: os.stat_result, is_last: bool) -> Iterator[Exposure]:
    """Yield the reasons why others can change one step of a path.

    Parameters
    ----------
    is_last : bool
        True for the path itself, which must be writable by this user and root alone. A folder on the way may be sticky.
    """
    owners = _trusted_owners()
    if not is_last:
        owners.add(os.lstat("/").st_uid)  # root has another number in some containers
    if status.st_uid not in owners:
        yield Exposure(place, f"belongs to user {status.st_uid}", f"chown -h {os.geteuid()} {place}")
    if stat.S_ISLNK(status.st_mode):  # the mode of a link has no effect
        return
    is_sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
    if status.st_mode & _OTHERS_WRITE and (is_last or not is_sticky):
        yield Exposure(place, f"can be written by others (mode {stat.S_IMODE(status.st_mode):o})",
                       f"chmod go-w {place}")


def _trusted_owners() -> set[int]:
    """Return the user numbers of root and this user."""
    return {0, os.geteuid()}
