"""A corpus folder: made once with an identity, written by one run at a time, read by anyone at any time."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, TypeVar
from uuid import uuid4

from pipeline.durable import make_folder
from pipeline.errors import ConfigError, CorpusDamaged, CorpusError, CorpusNotFound
from pipeline.store.door import KEY, PARTIAL, RUN, SEGMENT
from pipeline.store.generations import prune, read_generation, read_pointer, write_generation
from pipeline.store.groups import SourceGroup, VectorGroup
from pipeline.store.identity import compare_identity, read_identity, write_identity
from pipeline.store.layout import (
    CURRENT,
    IDENTITY,
    LOCK,
    SEGMENTS,
    SOURCES,
    STAGING,
    VECTORS,
    source_folder,
    vector_folder,
)
from pipeline.store.lease import Lease
from pipeline.store.manifest import Manifest
from pipeline.store.retired import due, is_retired, retired_by
from pipeline.store.survey import FOLDERS, OWN, discard, own_folders, own_groups, require_own_folders
from pipeline.text import shown


@dataclass(frozen=True, slots=True)
class Recovered:
    """Groups that were committed but, as the run died, not yet put into the manifest."""

    sources: tuple[SourceGroup, ...]
    vectors: tuple[VectorGroup, ...]
    """Also those of sources the manifest does name."""


class CorpusStore:
    """The door to a corpus folder. Reading needs no lock; :meth:`publish` takes it where it is not held."""

    def __init__(self, root: Path, identity: Mapping[str, Any]) -> None:
        self.root = root
        self.identity = identity
        """What the corpus was made with, without the folder's own format number."""
        self._mutex = threading.RLock()
        self._lock_depth = 0
        self._lease: Lease | None = None
        self._current: tuple[str, Manifest] | None = None

    @staticmethod
    def refuse_foreign(root: Path) -> None:
        """Raise :class:`ConfigError` if ``root`` is a folder with anything in it that is not a corpus' own."""
        foreign = sorted(path.name for path in root.iterdir()) if root.is_dir() else []
        foreign = [name for name in foreign if name not in OWN and not name.startswith(".")]
        if foreign:
            raise ConfigError(f"{root}: is no corpus, and holds other things ({shown(foreign[0])}); name an empty "
                              "folder for the corpus, or one that does not exist")

    @classmethod
    def create(cls, root: str | Path, identity: Mapping[str, Any]) -> Self:
        """Make a corpus in ``root``, a folder that need not exist.

        Parameters
        ----------
        root : path
        identity : mapping
            Anything JSON can hold, without a key ``format``.

        Raises
        ------
        ConfigError
            ``root`` is not a folder.
        CorpusError
            There is a corpus already, or what is left of one.
        CorpusLocked
            Another process is at it.
        """
        root = Path(root)
        try:
            make_folder(root)
        except (FileExistsError, NotADirectoryError) as error:
            raise ConfigError(f"{root}: is not a folder; name another one for the corpus") from error
        store = cls(root, identity)
        with store.lock():
            if (root / IDENTITY).exists():
                raise CorpusError(f"{root}: there is a corpus already; open it, or name another folder")
            if (root / CURRENT).exists() and store.manifest().generation > 0:
                raise CorpusDamaged(f"{root / IDENTITY}: is missing, though the corpus is in use; restore it")
            for name in FOLDERS:
                make_folder(root / name)
            write_generation(root, Manifest())
            write_identity(root, identity)  # last: it is what makes the folder a corpus
        return cls.open(root)

    @classmethod
    def open(cls, root: str | Path) -> Self:
        """Open the corpus in ``root``; :class:`CorpusNotFound` if there is none."""
        root = Path(root)
        return cls(root, read_identity(root))

    @classmethod
    def open_or_create(cls, root: str | Path, identity: Mapping[str, Any]) -> Self:
        """Open the corpus in ``root`` if it has this identity, or make it.

        Raises
        ------
        CorpusMismatch
            It has another identity; each differing key is listed.
        """
        try:
            store = cls.open(root)
        except CorpusNotFound:
            return cls.create(root, identity)
        store.require_identity(identity)
        return store

    def require_identity(self, identity: Mapping[str, Any]) -> None:
        """Raise :class:`CorpusMismatch` that lists each key in which the corpus differs from ``identity``."""
        compare_identity(self.root, self.identity, identity)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Be the one writer for the length of a ``with`` block; may be nested.

        Raises
        ------
        CorpusLocked
            A live process holds the corpus; or, entering a nested block, another process has taken the lock over, as
            this one had not stirred for long (:mod:`pipeline.store.lease`).
        CorpusDamaged
            One of the corpus' folders is a link: nothing is written through it (:mod:`pipeline.store.survey`).
        """
        with self._mutex:
            if self._lease is None:
                require_own_folders(self.root)
                self._lease = Lease.acquire(self.root / LOCK)
            else:
                self._lease.require()
            self._lock_depth += 1
        try:
            yield
        finally:
            with self._mutex:
                self._lock_depth -= 1
                if self._lock_depth == 0 and self._lease is not None:
                    lease, self._lease = self._lease, None
                    lease.release()

    def manifest(self) -> Manifest:
        """Read the current generation; what is returned never changes.

        Raises
        ------
        CorpusDamaged
            The manifest is missing or not what was written.
        """
        pointer = read_pointer(self.root)
        known = self._current
        if known is not None and known[0] == pointer:
            return known[1]
        while True:
            try:
                manifest = read_generation(self.root, pointer)
                break
            except CorpusDamaged:
                # so many generations may have been published meanwhile that this one is gone
                newer = read_pointer(self.root)
                if newer == pointer:
                    raise
                pointer = newer
        self._current = pointer, manifest
        return manifest

    def publish(self, change: Callable[[Manifest], Manifest]) -> Manifest:
        """Make ``change`` of the current generation the next one, durably, and return it.

        A change that returns what it was given publishes nothing.
        """
        with self._mutex, self.lock():
            current = self.manifest()
            changed = change(current)
            if changed is current:
                return current
            retired = retired_by(self.root, current, changed, time.time())
            changed = replace(changed, generation=current.generation + 1, retired=retired)
            self._current = write_generation(self.root, changed, self._require_lease), changed
            return changed

    def _require_lease(self) -> None:
        if self._lease is not None:
            self._lease.require()

    def new_staging(self) -> Path:
        """Make an empty folder for this run's parts, on the corpus' file system."""
        folder = self.root / STAGING / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}-{uuid4().hex[:8]}"
        folder.mkdir(parents=True)
        return folder

    def clean_staging(self) -> None:
        """Remove every staging folder, those of dead runs and one's own: call it before and after a run's work."""
        with self.lock():
            for name in own_folders(self.root / STAGING, RUN):
                discard(self.root, self.root / STAGING / name)

    def forget_missing(self) -> tuple[str, ...]:
        """Drop from the manifest what is no longer on disk, so that it can be made anew.

        Returns
        -------
        tuple of str
            The sources. Vectors of sources that are still there are dropped, too.
        """
        sources = self.manifest().sources
        missing = tuple(i for i in sources if not source_folder(self.root, i).is_dir())
        if missing:
            self.publish(lambda manifest: manifest.without_sources(missing))
        vectors = {(i, key) for i, entry in self.manifest().sources.items() for key in entry.vectors
                   if not vector_folder(self.root, key, i).is_dir()}
        if vectors:
            self.publish(lambda manifest: manifest.without_vectors(vectors))
        return missing

    def clean_segments(self, planned: Collection[str]) -> None:
        """Remove segments that are not named, planned or retired: what is left of builds that were killed."""
        with self.lock():
            manifest = self.manifest()
            named = {*planned, *(segment.id for segment in manifest.segments)}
            for name in (*own_folders(self.root / SEGMENTS, SEGMENT), *own_folders(self.root / SEGMENTS, PARTIAL)):
                folder = self.root / SEGMENTS / name
                if name not in named and not is_retired(manifest, folder.relative_to(self.root)):
                    discard(self.root, folder)

    def clean_retired(self) -> None:
        """Delete the folders that left the corpus a day ago or earlier (:mod:`pipeline.store.retired`)."""
        with self.lock():
            manifest = self.manifest()
            doomed = due(manifest, time.time())
            if not doomed:
                return
            prune(self.root, manifest.generation, keep=1)  # older ones may name them
            for folder in doomed:
                with suppress(FileNotFoundError):
                    discard(self.root, self.root / folder)
            self.publish(lambda m: replace(m, retired={f: since for f, since in m.retired.items() if f not in doomed}))

    def discard(self, folder: Path) -> None:
        """Delete a folder that no generation names."""
        with self.lock():
            discard(self.root, folder)

    def recover(self) -> Recovered:
        """Find the complete groups on disk that the manifest does not name, for the run to adopt; none it has retired.

        Raises
        ------
        CorpusDamaged, CorpusMismatch
            Such a group is missing files, holds vectors of other windows, or says that it is another: it can be
            removed.
        """
        manifest, here = self.manifest(), Path()
        named = manifest.sources
        sources = [_own(SourceGroup.open(self.root, source_id))
                   for source_id in own_groups(self.root / SOURCES, known=named)
                   if source_id not in named and source_id not in manifest.removed
                   if not is_retired(manifest, source_folder(here, source_id))]
        adopted = {*named, *(group.source_id for group in sources)}  # of others, the windows are to be made anew first
        vectors = [_own(VectorGroup.open(self.root, key, source_id))
                   for key in own_folders(self.root / VECTORS, KEY)
                   for source_id in own_groups(self.root / VECTORS / key, known=named)
                   if source_id in adopted and source_folder(self.root, source_id).is_dir()
                   if source_id not in named or key not in named[source_id].vectors]
        return Recovered(tuple(sources), tuple(vectors))


_Group = TypeVar("_Group", SourceGroup, VectorGroup)


def _own(group: _Group) -> _Group:
    """Return a group if what it says of itself is what its folder is called: that goes into the manifest."""
    if fault := group.misnamed():
        raise CorpusDamaged(f"{group.folder}: {fault}; move the folder out of the corpus, or delete it")
    return group
