"""Whether others can change what a path holds: a file that says what code runs must be this user's own, or root's.

Asked are owner and mode of the path and of every folder and link on the way to it. Whoever can write a folder can
replace what is in it; in a sticky folder, such as ``/tmp``, nobody can replace what belongs to somebody else.
"""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_MOST_LINKS = 40


@dataclass(frozen=True, slots=True)
class Exposure:
    """One reason why others can change what a path holds."""

    path: Path
    """The path itself, or a folder or a link on the way to it."""
    fault: str
    remedy: str
    """A command."""

    def __str__(self) -> str:
        return f"{self.path} {self.fault}"


def exposures(path: Path) -> tuple[Exposure, ...]:
    """Say why others can change what ``path`` holds; nothing where only this user and root can.

    Where it is not there yet, the folders are asked in which it would be made.
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
        found += _of_step(place, status, is_last)
    return tuple(found)


def of_files(folder: Path, suffixes: tuple[str, ...]) -> tuple[Exposure, ...]:
    """Say the same of the files with some suffixes in a folder that others cannot write.

    They may have been put there before it became so. Modes do not count where nobody else can enter the folder.
    """
    found: list[Exposure] = []
    with os.scandir(folder) as entries:
        can_enter = folder.stat().st_mode & (stat.S_IXGRP | stat.S_IXOTH)
        for entry in entries:
            if entry.name.endswith(suffixes):
                status = entry.stat(follow_symlinks=False)
                if status.st_uid not in _own() or stat.S_ISLNK(status.st_mode) or (
                        can_enter and status.st_mode & _OTHERS_WRITE):
                    found.append(Exposure(Path(entry.path), "is a link, is another user's or can be written by others",
                                          f"rm {entry.path}"))
    return tuple(found)


def make_closed_folder(path: Path, mode: int = 0o755) -> None:
    """Make a folder and its missing parents, which others cannot write whatever the umask says."""
    if path.is_dir():
        return
    make_closed_folder(path.parent, mode)
    path.mkdir(mode=mode, exist_ok=True)


def _steps(path: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Walk from the root to a path through every link on the way: each folder and link, as it is itself."""
    left, place, links = deque(path.absolute().parts[1:]), Path("/"), 0
    yield place, os.lstat(place)
    while left:
        part = left.popleft()
        if part == "..":
            place = place.parent
            continue
        status = os.lstat(place / part)
        yield place / part, status
        if not stat.S_ISLNK(status.st_mode):
            place = place / part
            continue
        links += 1
        if links > _MOST_LINKS:
            raise OSError(f"more than {_MOST_LINKS} links")
        target = Path(os.readlink(place / part))
        left.extendleft(reversed(target.parts[1:] if target.is_absolute() else target.parts))
        place = Path("/") if target.is_absolute() else place


def _of_step(place: Path, status: os.stat_result, is_last: bool) -> Iterator[Exposure]:
    owners = _own() if is_last else _own() | {os.lstat("/").st_uid}  # in a container, root may have another number
    if status.st_uid not in owners:
        yield Exposure(place, f"belongs to user {status.st_uid}", f"chown -h {os.geteuid()} {place}")
    if stat.S_ISLNK(status.st_mode):  # a link's mode means nothing
        return
    is_sticky = stat.S_ISDIR(status.st_mode) and status.st_mode & stat.S_ISVTX
    if status.st_mode & _OTHERS_WRITE and (is_last or not is_sticky):
        yield Exposure(place, f"can be written by others (mode {stat.S_IMODE(status.st_mode):o})",
                       f"chmod go-w {place}")


def _own() -> set[int]:
    return {0, os.geteuid()}
