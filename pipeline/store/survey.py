"""What lies in a corpus' folders that the store has not put there: links, and files of other programs.

A writer refuses to begin where one of the store's own folders is a link: what it writes, moves and deletes would be
what the link points to (:mod:`pipeline.safe`). A reader does not ask. It changes nothing, and someone whose disk is
full may have put ``vectors`` elsewhere: searches go on, and ``verify`` names the link.

Other programs leave files on a disk: ``lost+found``, ``@eaDir``, ``.snapshot``, ``.nfs0001``, notes, backups of an
editor. They are no damage. No run is stopped by them, moves them or deletes them; ``verify`` names them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Container, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

from pipeline.config import CONFIG_FILE
from pipeline.durable import make_folder
from pipeline.errors import CorpusDamaged
from pipeline.safe import DEEPEST, is_own, link_message, move, refuse_link, remove_tree
from pipeline.store.door import GENERATION, KEY, MENDED, NUMBER, PARTIAL, RUN, SEGMENT, SOURCE, TEMPORARY
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
from pipeline.store.seal import SEAL, Fault

FOLDERS = (MANIFESTS, SOURCES, VECTORS, SEGMENTS, STAGING)
"""What a corpus consists of, even an empty one."""
OWN = frozenset({CONFIG_FILE, CURRENT, DAMAGED, ENCODERS, IDENTITY, LOCK, MANIFESTS, SEGMENTS, SOURCES, STAGING,
                 VECTORS})
"""Names in the corpus' own folder."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A folder, or each of several, in which the store keeps others."""

    names: re.Pattern[str]
    """Of what the store puts there."""
    places: Mapping[str, _Place] = field(default_factory=dict)
    """Folders of one name in it that are such places themselves."""
    each: _Place | None = None
    """What each of its folders is, where all of them are such places."""
    holds: frozenset[str] = frozenset()
    """One of these files is in each of its folders that the store has made; empty where that is not known."""

    def deeper(self, name: str) -> _Place | None:
        """Return the place that a folder of this name in it is; None where it is an object."""
        return self.each or self.places.get(name)


def _any(*patterns: re.Pattern[str]) -> re.Pattern[str]:
    return re.compile("|".join(pattern.pattern for pattern in patterns))


def _names(*names: str) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, names)))


_GROUP = frozenset({SEAL, "zarr.json"})
_ENCODERS = _Place(_any(KEY, MENDED), holds=frozenset({SEAL, PROJECTION_COPY, "projection.npz"}))
_SET_ASIDE = _Place(_names(CONFIG_FILE, ENCODERS, SEGMENTS, SOURCES, VECTORS), {
    SOURCES: _Place(SOURCE),
    VECTORS: _Place(KEY, each=_Place(SOURCE)),
    SEGMENTS: _Place(_any(SEGMENT, SOURCE)),
    ENCODERS: _Place(KEY),
})
_CORPUS = _Place(_any(_names(*sorted(OWN)), TEMPORARY), {
    MANIFESTS: _Place(GENERATION),
    LOCK: _Place(_any(NUMBER, TEMPORARY)),
    STAGING: _Place(RUN),
    SOURCES: _Place(SOURCE, holds=_GROUP),
    VECTORS: _Place(KEY, each=_Place(SOURCE, holds=_GROUP)),
    SEGMENTS: _Place(_any(SEGMENT, PARTIAL)),
    ENCODERS: _ENCODERS,
    DAMAGED: _SET_ASIDE,
})


@dataclass(frozen=True, slots=True)
class Found:
    """What the store has not put into some folders."""

    links: tuple[Fault, ...] = ()
    """Links, and what else is no file or folder, under names of the store's own."""
    foreign: tuple[Path, ...] = ()
    """Files and folders of others. What is in such a folder is not looked at."""


def survey(root: Path, known: Collection[Path] = ()) -> Found:
    """Look through the folders of a corpus, and the objects in them but those that are ``known``."""
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


def inside(folder: Path, deepest: int = DEEPEST) -> Found:
    """Look through the folder of one object."""
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
    """Raise :class:`CorpusDamaged` if one of the store's folders, or of the objects in them, is a link."""
    for entry, place in _entries(root, _CORPUS):
        if place.names.fullmatch(entry.name) and (message := _unlike_a_file(entry)):
            path = Path(entry.path)
            refuse_link(path)
            raise CorpusDamaged(f"{path}: {message}; remove it")
    for name in FOLDERS:
        if (root / name).exists() and not (root / name).is_dir():
            raise CorpusDamaged(f"{root / name}: is no folder; move it out of the corpus")


def own_folders(folder: Path, names: re.Pattern[str]) -> list[str]:
    """List the folders in ``folder`` that bear a name of the store's own, sorted; links are none."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries
                      if names.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False))


def own_groups(folder: Path, names: re.Pattern[str] = SOURCE, known: Container[str] = ()) -> list[str]:
    """List the folders in ``folder`` that may be groups or projections: they hold a file of one, or nothing at all.

    Those that are ``known`` to be some are not looked into: there may be a million.
    """
    return [name for name in own_folders(folder, names)
            if name in known or _holds(folder / name, _GROUP | _ENCODERS.holds)]


def discard(root: Path, folder: Path) -> None:
    """Delete a folder of a corpus, except what is not the store's in it.

    It is moved away first: nobody, a killed run's successor included, must find half of it.
    """
    doomed = root / STAGING / f".{uuid4().hex}"
    make_folder(doomed.parent)
    move(root, folder, doomed)
    remove_tree(root, doomed)


def _unlike_a_file(entry: os.DirEntry[str]) -> str:
    """Say what is wrong with what should be a file or folder; nothing where it is one, or has gone."""
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
    """Yield what is in a place, and in the places in it."""
    for entry in _scanned(folder):
        if place is _CORPUS and entry.name == CONFIG_FILE:  # the user's own: it may be a link, runs only replace it
            continue
        yield entry, place
        deeper = place.deeper(entry.name) if place.names.fullmatch(entry.name) else None
        if deeper is not None and entry.is_dir(follow_symlinks=False):
            yield from _entries(entry.path, deeper)


def _is_of(entry: os.DirEntry[str], place: _Place) -> bool:
    """Tell whether the store may have put something there."""
    if place.names.fullmatch(entry.name) is None:
        return False
    return not (place.holds and entry.is_dir(follow_symlinks=False)) or _holds(entry.path, place.holds)


def _holds(folder: str | Path, files: frozenset[str]) -> bool:
    names = {entry.name for entry in _scanned(folder)}
    return not names or bool(names & files)


def _scanned(folder: str | Path) -> list[os.DirEntry[str]]:
    """List a folder; nothing where it has gone, or may not be read."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError:
        return []
