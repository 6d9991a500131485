"""A corpus folder: made once with an identity, written by one run at a time, and read by anyone at any time."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

from pipeline.catalogue import Manifest
from pipeline.errors import ConfigError, CorpusDamaged, CorpusError, CorpusNotFound
from pipeline.store.foreign_files import (
    FOLDERS,
    OWN,
    discard,
    holds_group,
    own_folders,
    require_own_folders,
)
from pipeline.store.generations import prune, read_generation, read_pointer, remove_temporaries, write_generation
from pipeline.store.identity import compare_identity, read_identity, write_identity
from pipeline.store.layout import (
    CURRENT,
    IDENTITY,
    LOCK,
    SEGMENTS,
    STAGING,
    overview_folder,
    source_folder,
    vector_folder,
)
from pipeline.store.lease import Lease
from pipeline.store.recovery import Recovered, recover
from pipeline.store.retirement import is_retired, retired_by, settle
from pipeline.store.safe_names import PARTIAL, RUN, SEGMENT
from pipeline.support.clock import now_s
from pipeline.support.durable import make_folder
from pipeline.support.regular_files import lacks_folder
from pipeline.support.text import shown


class CorpusStore:
    """Access to a corpus folder. Reading needs no lock. :meth:`publish` takes the lock unless it is held already."""

    def __init__(self, root: Path, identity: Mapping[str, Any] | None) -> None:
        self.root = root
        self._identity = identity
        self._mutex = threading.RLock()
        self._lock_depth = 0
        self._lease: Lease | None = None
        self._current: tuple[str, Manifest] | None = None

    @property
    def identity(self) -> Mapping[str, Any]:
        """Identity of the corpus: what decides its content. The format number of the file is left out.

        Raises
        ------
        CorpusNotFound, CorpusDamaged, CorpusMismatch
            The corpus was opened for repair, and its identity is missing, damaged or of a newer version.
        """
        if self._identity is None:
            self._identity = read_identity(self.root)
        return self._identity

    @staticmethod
    def refuse_foreign(root: Path) -> None:
        """Raise :class:`ConfigError` if ``root`` holds a file or folder that is not part of a corpus."""
        foreign = sorted(path.name for path in root.iterdir()) if root.is_dir() else []
        foreign = [name for name in foreign if name not in OWN and not name.startswith(".")]
        if foreign:
            raise ConfigError(f"{root}: is no corpus, and holds other things ({shown(foreign[0])}); name an empty "
                              "folder for the corpus, or one that does not exist")

    @classmethod
    def create(cls, root: str | Path, identity: Mapping[str, Any]) -> Self:
        """Make a corpus.

        Parameters
        ----------
        root : path
            Folder of the corpus. It is made if it does not exist.
        identity : mapping
            What decides the content of the corpus. Values must be JSON; the keys ``format`` and ``sha256`` are not
            allowed.

        Raises
        ------
        ConfigError
            ``root`` is not a folder.
        CorpusError
            ``root`` holds a corpus, or what is left of one.
        CorpusLocked
            Another process holds the lock.
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
            write_identity(root, identity)  # last: this file makes the folder a corpus
        return cls.open(root)

    @classmethod
    def open(cls, root: str | Path) -> Self:
        """Open the corpus in ``root``; raise :class:`CorpusNotFound` if there is none."""
        root = Path(root)
        return cls(root, read_identity(root))

    @classmethod
    def for_repair(cls, root: str | Path) -> Self:
        """Open a corpus whose identity may be lost. It is read on first use."""
        return cls(Path(root), None)

    @classmethod
    def open_or_create(cls, root: str | Path, identity: Mapping[str, Any]) -> Self:
        """Open the corpus in ``root`` and compare its identity; if there is none, make it.

        Errors are those of :meth:`require_identity`.
        """
        try:
            store = cls.open(root)
        except CorpusNotFound:
            return cls.create(root, identity)
        store.require_identity(identity)
        return store

    def require_identity(self, identity: Mapping[str, Any]) -> None:
        """Raise :class:`CorpusMismatch` if the corpus has another identity. The message lists each key that differs."""
        compare_identity(self.root, self.identity, identity)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Be the only writer within a ``with`` block. Blocks may be nested.

        Raises
        ------
        CorpusLocked
            A live process holds the lock. In a nested block: another process took the lock over, because this process
            had not renewed it for too long (:mod:`pipeline.store.lease`).
        CorpusDamaged
            A folder of the corpus is a link. Runs do not write through links (:mod:`pipeline.store.foreign_files`).
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
        """Read the current generation. The returned value never changes.

        Raises
        ------
        CorpusDamaged
            The manifest is missing or altered.
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
                # other generations may have been published meanwhile, and this one deleted
                newer = read_pointer(self.root)
                if newer == pointer:
                    raise
                pointer = newer
        self._current = pointer, manifest
        return manifest

    def publish(self, change: Callable[[Manifest], Manifest]) -> Manifest:
        """Apply ``change`` to the current generation, write the result to disk as the next one, and return it.

        Nothing is published if ``change`` returns its argument.
        """
        with self._mutex, self.lock():
            current = self.manifest()
            changed = change(current)
            if changed is current:
                return current
            retired = retired_by(self.root, current, changed, now_s())
            changed = replace(changed, generation=current.generation + 1, retired=retired)
            self._current = write_generation(self.root, changed, self._require_lease), changed
            return changed

    def _require_lease(self) -> None:
        if self._lease is not None:
            self._lease.require()

    def new_staging(self) -> Path:
        """Make an empty folder for the parts of this run, on the file system of the corpus."""
        folder = self.root / STAGING / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}-{uuid4().hex[:8]}"
        folder.mkdir(parents=True)
        return folder

    def clean_staging(self) -> None:
        """Remove all staging folders and temporary files, including those of dead runs.

        Runs call it before and after their work.
        """
        with self.lock():
            for name in own_folders(self.root / STAGING, RUN):
                discard(self.root, self.root / STAGING / name)
            remove_temporaries(self.root)

    def clean_generations(self) -> None:
        """Delete the manifests that killed writers left: of old generations, and of ones that were never published.

        Each publication deletes them, too, but many runs publish nothing.
        """
        with self.lock():
            prune(self.root, self.manifest().generation)

    def forget_missing(self) -> tuple[str, ...]:
        """Drop from the manifest the sources and vectors whose folders are missing, so that they can be made again.

        Returns
        -------
        tuple of str
            Ids of the sources that were dropped.
        """
        missing = tuple(i for i in self.manifest().sources if lacks_folder(source_folder(self.root, i)))
        if missing:
            self.publish(lambda manifest: manifest.without_sources(missing))
        vectors = {(i, key) for i, entry in self.manifest().sources.items() for key in entry.vectors
                   if lacks_folder(vector_folder(self.root, key, i))}
        if vectors:
            self.publish(lambda manifest: manifest.without_vectors(vectors))
        overviews = [i for i, entry in self.manifest().sources.items()
                     if entry.overview and lacks_folder(overview_folder(self.root, i))]
        self.publish(lambda manifest: manifest.with_overviews(overviews, are_held=False))
        return missing

    def clean_segments(self, planned: Collection[str]) -> None:
        """Remove segments that killed builds left behind: those neither in the manifest, nor planned, nor retired."""
        with self.lock():
            manifest = self.manifest()
            named = {*planned, *(segment.id for segment in manifest.segments)}
            for name in (*own_folders(self.root / SEGMENTS, SEGMENT), *own_folders(self.root / SEGMENTS, PARTIAL)):
                folder = self.root / SEGMENTS / name
                if name not in named and not is_retired(manifest, folder.relative_to(self.root)):
                    discard(self.root, folder)

    def clean_retired(self) -> None:
        """Delete the folders that left the corpus long enough ago (:mod:`pipeline.store.retirement`)."""
        with self.lock():
            manifest = self.manifest()
            doomed, kept = settle(self.root, manifest, now_s())
            if doomed:
                prune(self.root, manifest.generation, keep=1)  # older generations may name these folders
            for folder in filter(holds_group, map(self.root.joinpath, doomed)):  # others are not the store's
                with suppress(FileNotFoundError):
                    discard(self.root, folder)
            if kept != manifest.retired:
                self.publish(lambda m: replace(m, retired=kept))

    def discard(self, folder: Path) -> None:
        """Delete a folder that no generation names."""
        with self.lock():
            discard(self.root, folder)

    def recover(self) -> Recovered:
        """Find complete groups on disk that the manifest neither names nor has retired. The run adopts them.

        Errors are those of :func:`pipeline.store.recovery.recover`.
        """
        return recover(self.root, self.manifest())
