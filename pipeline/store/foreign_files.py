"""Foreign files: links in the folders of a corpus, and files of other programs there.

A writer refuses to start if a folder of the corpus is a link, because it would write, move and delete files at the
target of the link (:mod:`pipeline.support.safe_files`). A reader does not check, because it changes nothing. A user
whose disk is full may have moved ``vectors`` and linked it: searches go on, and ``verify`` names the link.

Other programs leave files on a disk: ``lost+found``, ``@eaDir``, ``.snapshot``, ``.nfs0001``, notes, backups of an
editor. They are no damage. Runs ignore them, and neither move nor delete them. ``verify`` names them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Container, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from pipeline.config import CONFIG_FILE
from pipeline.errors import CorpusDamaged
from pipeline.store.digests import DIGESTS_FILE, GROUP_FILE, METADATA, Fault
from pipeline.store.layout import (
    CURRENT,
    DAMAGED,
    ENCODERS,
    IDENTITY,
    LOCK,
    MANIFESTS,
    PROJECTION_COPY,
    SEGMENTS,
    SOURCES,
    STAGING,
    VECTORS,
)
from pipeline.store.safe_names import (
    GENERATION,
    KEY,
    MENDED,
    NUMBER,
    OVERVIEW,
    PARTIAL,
    RUN,
    SEGMENT,
    SOURCE,
    TEMPORARY,
)
from pipeline.support.durable import make_folder
from pipeline.support.safe_files import MAX_FOLDER_DEPTH, is_own, link_message, move, refuse_link, remove_tree

FOLDERS = (MANIFESTS, SOURCES, VECTORS, SEGMENTS, STAGING)
"""Folders that every corpus has, even an empty one."""
OWN = frozenset({CONFIG_FILE, CURRENT, DAMAGED, ENCODERS, IDENTITY, LOCK, MANIFESTS, SEGMENTS, SOURCES, STAGING,
                 VECTORS})
"""Names that the store uses in the folder of the corpus."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A folder in which the store keeps other folders or files."""

    names: re.Pattern[str]
    """Pattern of the names that the store uses in it."""
    places: Mapping[str, _Place] = field(default_factory=dict)
    """Name of a subfolder that is such a place itself → its description."""
    each: _Place | None = None
    """Description of every subfolder, if all of them are such places."""
    holds: frozenset[str] = frozenset()
    """Every subfolder that the store made holds one of these files. Empty if no such file is known."""

    def deeper(self, name: str) -> _Place | None:
        """Return the description of the subfolder ``name``; None if it is an object of the corpus."""
        return self.each or self.places.get(name)


def _any(*patterns: re.Pattern[str]) -> re.Pattern[str]:
    return re.compile("|".join(pattern.pattern for pattern in patterns))


def _names(*names: str) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, names)))


_GROUP = frozenset({DIGESTS_FILE, GROUP_FILE, METADATA})
_ENCODERS = _Place(_any(KEY, MENDED), holds=frozenset({DIGESTS_FILE, PROJECTION_COPY, "projection.npz"}))
_SET_ASIDE = _Place(_names(CONFIG_FILE, ENCODERS, SEGMENTS, SOURCES, VECTORS), {
    SOURCES: _Place(_any(SOURCE, OVERVIEW)),
    VECTORS: _Place(KEY, each=_Place(SOURCE)),
    SEGMENTS: _Place(_any(SEGMENT, SOURCE)),
    ENCODERS: _Place(KEY),
})
_CORPUS = _Place(_any(_names(*sorted(OWN)), TEMPORARY), {
    MANIFESTS: _Place(GENERATION),
    LOCK: _Place(_any(NUMBER, TEMPORARY)),
    STAGING: _Place(RUN),
    SOURCES: _Place(_any(SOURCE, OVERVIEW), holds=_GROUP),
    VECTORS: _Place(KEY, each=_Place(SOURCE, holds=_GROUP)),
    SEGMENTS: _Place(_any(SEGMENT, PARTIAL)),
    ENCODERS: _ENCODERS,
    DAMAGED: _SET_ASIDE,
})


@dataclass(frozen=True, slots=True)
class Found:
    """Foreign files that were found."""

    links: tuple[Fault, ...] = ()
    """Links, pipes and devices that have a name of the store, and what is wrong with each."""
    foreign: tuple[Path, ...] = ()
    """Files and folders of other programs. The content of such folders is not read."""


def survey(root: Path, known: Collection[Path] = ()) -> Found:
    """Search the folders of a corpus for foreign files. Objects in ``known`` are not searched."""
    objects, links, foreign = {str(path) for path in known}, list[Fault](), list[Path]()
    for entry, place in _entries(root, _CORPUS):
        if entry.path in objects and not entry.is_symlink():
            continue
        if not _is_of(entry, place):
            foreign.append(Path(entry.path))
        elif message := _unlike_a_file(entry):
            links.append((Path(entry.path), message))
        elif entry.is_dir(follow_symlinks=False) and place.deeper(entry.name) is None:
            more = inside(Path(entry.path))
            links += more.links
            foreign += more.foreign
    return Found(tuple(links), tuple(foreign))


def inside(folder: Path, deepest: int = MAX_FOLDER_DEPTH) -> Found:
    """Search the folder of one object for foreign files, down to ``deepest`` levels."""
    links: list[Fault] = []
    foreign: list[Path] = []
    for entry in _scanned(folder):
        path = Path(entry.path)
        if not is_own(entry.name):
            foreign.append(path)
        elif message := _unlike_a_file(entry):
            links.append((path, message))
        elif entry.is_dir(follow_symlinks=False) and deepest:
            more = inside(path, deepest - 1)
            links += more.links
            foreign += more.foreign
    return Found(tuple(links), tuple(foreign))


def require_own_folders(root: Path) -> None:
    """Raise :class:`CorpusDamaged` if a folder or object of the corpus is a link."""
    for entry, place in _entries(root, _CORPUS):
        if place.names.fullmatch(entry.name) and (message := _unlike_a_file(entry)):
            path = Path(entry.path)
            refuse_link(path)
            raise CorpusDamaged(f"{path}: {message}; remove it")
    for name in FOLDERS:
        if (root / name).exists() and not (root / name).is_dir():
            raise CorpusDamaged(f"{root / name}: is no folder; move it out of the corpus")


def own_folders(folder: Path, names: re.Pattern[str]) -> list[str]:
    """Return the sorted names of subfolders that match the pattern ``names``. Links are left out."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries
                      if names.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False))


def own_groups(folder: Path, names: re.Pattern[str] = SOURCE, known: Container[str] = ()) -> list[str]:
    """Return the sorted names of subfolders that may be groups or projections: they hold a file of one, or are empty.

    Names in ``known`` are not opened, because there may be a million.
    """
    return [name for name in own_folders(folder, names)
            if name in known or _holds(folder / name, _GROUP | _ENCODERS.holds)]


def holds_group(folder: Path) -> bool:
    """Return True if a folder holds a file that the store writes into each source, set of vectors or segment."""
    return bool({entry.name for entry in _scanned(folder)} & (_GROUP | {"segment.json"}))


def discard(root: Path, folder: Path) -> None:
    """Delete a folder of a corpus. Foreign files in it stay.

    The folder is moved to ``staging`` first, so that no other run finds half of it if this one is killed.
    """
    doomed = root / STAGING / f".{uuid4().hex}"
    make_folder(doomed.parent)
    move(root, folder, doomed)
    remove_tree(root, doomed)


def _unlike_a_file(entry: os.DirEntry[str]) -> str:
    """Return what is wrong with an entry that is neither file nor folder; an empty text for other or vanished ones."""
    if entry.is_symlink():
        return link_message(Path(entry.path))
    if entry.is_file(follow_symlinks=False) or entry.is_dir(follow_symlinks=False):
        return ""
    try:
        os.lstat(entry.path)
    except FileNotFoundError:
        return ""
    return "is neither file nor folder"


def _entries(folder: str | Path, place: _Place) -> Iterator[tuple[os.DirEntry[str], _Place]]:
    """Yield the entries of a place and of the places in it."""
    for entry in _scanned(folder):
        if place is _CORPUS and entry.name == CONFIG_FILE:  # may be a link: runs only replace it
            continue
        yield entry, place
        deeper = place.deeper(entry.name) if place.names.fullmatch(entry.name) else None
        if deeper is not None and entry.is_dir(follow_symlinks=False):
            yield from _entries(entry.path, deeper)


def _is_of(entry: os.DirEntry[str], place: _Place) -> bool:
    """Return True if the store may have made this entry."""
    if place.names.fullmatch(entry.name) is None:
        return False
    return not (place.holds and entry.is_dir(follow_symlinks=False)) or _holds(entry.path, place.holds)


def _holds(folder: str | Path, files: frozenset[str]) -> bool:
    names = {entry.name for entry in _scanned(folder)}
    return not names or bool(names & files)


def _scanned(folder: str | Path) -> list[os.DirEntry[str]]:
    """Return the sorted entries of a folder; an empty list if it is gone or cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []
