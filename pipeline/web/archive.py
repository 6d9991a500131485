"""The corpus as a server shows it: one generation, which stays until somebody moves on."""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.catalogue import Manifest, Session, scans_among, source_named, sources_named
from pipeline.errors import CorpusDamaged, PipelineError, QueryError
from pipeline.families import families_folder
from pipeline.search import Corpus, CorpusStatus, OpenCorpus, SearchResult
from pipeline.store import current_generation
from pipeline.web.kept_arrays import KeptArrays
from pipeline.web.problems import Problem
from pipeline.web.short_paths import ShortPaths, shortener

CHECKED_EVERY_S = 2.0
"""Time for which the number of the newest generation is not looked up again, in seconds."""

MAX_KEPT_BYTES = 1 << 29
"""Largest size of the overviews that stay in memory."""


@dataclass(frozen=True)
class Pinned:
    """One generation, opened. Threads may share it."""

    opened: OpenCorpus
    corpus: Corpus
    scans: tuple[str, ...]
    """Ids of all scans, in ascending order."""
    overviews: KeptArrays
    """Overviews by scan. They are the same in every generation."""
    short_paths: ShortPaths
    """How answers name files."""

    @property
    def generation(self) -> int:
        """Number of the generation."""
        return self.corpus.generation

    @cached_property
    def scans_held(self) -> frozenset[str]:
        """Ids of all scans, to look one up."""
        return frozenset(self.scans)

    @cached_property
    def _folders(self) -> frozenset[str]:
        """Folders of all files that the corpus knows, also of those that it could not take in."""
        manifest = self.opened.manifest
        paths = {path for entry in manifest.sources.values() for path in (entry.path, *entry.also_at)}
        return frozenset(os.path.dirname(path) for path in paths | set(manifest.files))

    @cached_property
    def shorten(self) -> Callable[[str], str]:
        """What makes a text name files by short paths, and the corpus by its folder alone."""
        corpus = list(dict.fromkeys((str(self.opened.root), os.path.realpath(self.opened.root))))
        beside = map(os.path.dirname, corpus)  # families, labels and reports lie there
        return shortener([*self.short_paths.roots, *corpus], {*self._folders, *beside})

    def short(self, result: SearchResult) -> SearchResult:
        """Return a result that names files by short paths."""
        said = result.description
        said = replace(said, file=said.file and self.short_paths.of_file(said.file), note=self.shorten(said.note))
        return replace(result, description=said, hits=tuple(map(self.short_paths.of_hit, result.hits)))

    def overview(self, scan_id: str) -> NDArray[np.uint8]:
        """Return the codes of all levels of the overview of a scan: (columns, 2, rows)."""
        return self.overviews.get(scan_id, lambda: self.opened.overview(scan_id)[1])

    def find(self, text: str) -> str:
        """Return the id of the source that a text names; raise :class:`QueryError` if it names none or several."""
        if text in self.opened.manifest.sources:
            return text
        return self.opened.find_source(text)


class Archive:
    """A corpus, and files that may be searched for. Threads may share it.

    Parameters
    ----------
    root : Path
        Folder of the corpus.
    data_roots : sequence of Path
        Folders whose files may be searched for.
    corpus_of : callable
        Makes of an opened generation what is searched, here or on a cluster.
    """

    def __init__(self, root: Path, data_roots: Sequence[Path] = (),
                 corpus_of: Callable[[OpenCorpus], Corpus] = Corpus) -> None:
        self.root = Path(os.path.abspath(root))  # a relative path could not be told from other words of a message
        self._corpus_of = corpus_of
        self._roots = tuple(dict.fromkeys(Path(os.path.realpath(one)) for one in data_roots))
        self._short_paths = ShortPaths(data_roots)
        self._lock = threading.Lock()
        self._overviews = KeptArrays(MAX_KEPT_BYTES)
        self._pinned = self._open()
        self._families, self._families_seen_s = _state_of(families_folder(self.root)), time.monotonic()
        self._newest, self._looked_s = self._pinned.generation, time.monotonic()
        self._status: tuple[int, CorpusStatus] | None = None
        self._sessions: tuple[int, list[Session]] | None = None

    @property
    def pinned(self) -> Pinned:
        """The generation that is shown. If families were found meanwhile, it is opened again, to show them."""
        if time.monotonic() - self._families_seen_s > CHECKED_EVERY_S:
            with self._lock:
                self._families_seen_s = time.monotonic()
                if self._families != (now := _state_of(families_folder(self.root))):
                    with suppress(PipelineError, OSError):  # the disk may be away; what is shown is open
                        self._pinned, self._families = self._open(self._pinned.opened.manifest), now
        return self._pinned

    def show_families_now(self) -> None:
        """Look at once whether families have changed, because somebody has just changed them here."""
        self._families_seen_s = -math.inf

    def _open(self, manifest: Manifest | None = None) -> Pinned:
        opened = OpenCorpus(self.root, manifest)
        return Pinned(opened, self._corpus_of(opened), tuple(sorted(scans_among(opened.manifest.sources))),
                      self._overviews, self._short_paths)

    def newer(self) -> int | None:
        """Return the number of the newest generation if it is not the one shown, else None."""
        if time.monotonic() - self._looked_s > CHECKED_EVERY_S:
            with suppress(CorpusDamaged, OSError):  # the disk may be away; the generation that is shown is open
                self._newest = current_generation(self.root)
            self._looked_s = time.monotonic()
        return self._newest if self._newest > self._pinned.generation else None

    def move_to(self, generation: int) -> Pinned:
        """Show the newest generation, if its number is at least ``generation``. Searches that run keep theirs."""
        with self._lock:
            if generation > self._pinned.generation:
                pinned = self._open()
                if pinned.generation < generation:
                    raise Problem(409, "no_such_generation", f"generation {generation} is not there; the newest is "
                                  f"{pinned.generation}")
                self._pinned = pinned
                self._newest = max(self._newest, pinned.generation)
        return self._pinned

    def status(self) -> dict[str, Any]:
        """Return counts, as ``status --json`` prints them, and what a page needs beside them."""
        pinned = self._pinned
        if self._status is None or self._status[0] != pinned.generation:
            self._status = pinned.generation, pinned.corpus.status()
        counts = self._status[1].to_json()
        removed = len(pinned.opened.manifest.removed)
        return {**counts, "removed": removed, "corpus": Path(counts["corpus"]).name, "views": list(counts["views"]),
                "view_counts": counts["views"], "newer_generation": self.newer()}

    def sessions(self) -> list[Session]:
        """Return the sessions of the shown generation. A changed file of corrections counts from the next one on."""
        pinned = self._pinned
        if self._sessions is None or self._sessions[0] != pinned.generation:
            self._sessions = pinned.generation, pinned.corpus.sessions()
        return self._sessions[1]

    def file_of_query(self, pinned: Pinned, text: str) -> str:
        """Return what a search may take as a file: the id of a source, or a path below a data root.

        Raises
        ------
        Problem
            The text names no source, and no file below a data root. Whether there is such a file elsewhere is not
            said.
        """
        manifest = pinned.opened.manifest
        paths = {source_id: (entry.path, *entry.also_at) for source_id, entry in manifest.sources.items()}
        if "/" in text:  # it may be a short path, as answers name files
            paths = {source_id: (*files, *map(self._short_paths.of_file, files)) for source_id, files in paths.items()}
        if sources_named(text, paths):
            return source_named(text, paths, "source of the corpus")
        found = {str(path) for root in self._roots if (path := _file_below(root, text))}
        if len(found) > 1:
            raise Problem(409, "several_files", f"{text}: {len(found)} folders of data hold a file of this path",
                          "name it by its whole path")
        if found:
            return found.pop()
        try:
            pinned.find(text)  # says why it is absent, if the corpus knows
        except QueryError as error:
            hint = "name a source of the corpus, or a file below a folder that the server was given with --data"
            raise Problem(404, "not_found", str(error), hint) from error
        raise AssertionError("a text that names no source was found")


def _file_below(root: Path, text: str) -> Path | None:
    """Return the file of a path below a folder; None if there is none, or if it lies elsewhere."""
    try:
        path = Path(os.path.realpath(root / text))
        return path if path.is_relative_to(root) and path.is_file() else None
    except (OSError, ValueError):  # the name has a NUL, or is too long
        return None


def _state_of(folder: Path) -> int | None:
    """Return a number that changes with the files in a folder; None if it is not there."""
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return None


def try_read(archive: Archive) -> str:
    """Return why the corpus cannot be read; empty if it can."""
    try:
        current_generation(archive.root)
    except (PipelineError, OSError) as error:
        return str(error)
    return ""
