"""A generation of a corpus, opened for reading. It keeps files open, and what it has read in memory."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from pipeline.catalogue import CELL, Manifest, source_named, sources_named, why_absent
from pipeline.config import Config
from pipeline.errors import CorpusDamaged, CorpusError, QueryError, SegmentDamaged
from pipeline.grid.tiling import Tiling
from pipeline.index import Routing, Segment
from pipeline.model import Window
from pipeline.overview import OverviewLayout, overview_name
from pipeline.store import CorpusStore, SourceGroup, StoredOverview, VectorGroup, mending, segment_folder, undoing

MAX_OPEN_GROUPS = 256
"""Maximum number of groups that are kept open, with their metadata."""
MAX_KEPT_BYTES = 1 << 28
"""Maximum size of the window numbers and vectors kept in memory between searches, in bytes.

They belong to sources that are in no segment. Opening thousands of small groups takes seconds; comparing their vectors
takes milliseconds."""
MAX_KEPT_WINDOWS = 1 << 15
"""Maximum number of windows that are kept in memory between searches."""
ROWS_READ_AT_ONCE = 4096
"""Length of a block of rows. Within a block, rows are read from the first to the last one that is wanted."""

_T = TypeVar("_T")


class OpenCorpus:
    """One generation of a corpus: the current one, or that of a given manifest. Threads may share it."""

    def __init__(self, root: Path, manifest: Manifest | None = None) -> None:
        store = CorpusStore.open(root)
        self.root = store.root
        self.manifest = manifest or store.manifest()
        """Manifest of the generation. It does not change, so what a run adds meanwhile is not seen."""
        self.config = Config.of_corpus(self.root)
        store.require_identity(self.config.identity())  # a user may have edited corpus.toml
        self._kept: OrderedDict[Hashable, object] = OrderedDict()
        self._arrays: dict[Hashable, NDArray[Any]] = {}
        self._room = MAX_KEPT_BYTES
        self._lock = threading.Lock()
        self._segments: dict[str, Segment] = {}
        self._tilings: dict[str, Tiling] = {}
        self._windows: dict[tuple[str, int], Window] = {}
        self._objects: dict[Hashable, object] = {}
        self._entries = {segment.id: segment for segment in self.manifest.segments}

    @contextmanager
    def outlived(self) -> Iterator[None]:
        """Distinguish damage from data that a later generation has dropped. Such data are deleted after some days.

        Raises
        ------
        CorpusDamaged
            Something is missing or altered. The message says how to repair it.
        CorpusError
            Something is missing because the current generation no longer has it. The message says to open the corpus
            again.
        """
        try:
            yield
        except CorpusDamaged as error:
            newer = CorpusStore.open(self.root).manifest()
            if _object_ids(self.manifest) <= _object_ids(newer):
                if isinstance(error, SegmentDamaged):
                    raise CorpusDamaged(f"{error}; {mending(self.root)}") from error
                raise
            raise CorpusError(f"{self.root}: was opened at generation {self.manifest.generation} and is at "
                              f"{newer.generation} now, which lacks some of the data; open the corpus again ({error})"
                              ) from error

    def segment(self, segment_id: str) -> Segment:
        """Return a segment, or a cell of one. It is opened once."""
        with self._lock:
            if segment_id not in self._segments:
                self._segments[segment_id] = self._open_segment(segment_id)
            return self._segments[segment_id]

    def _open_segment(self, segment_id: str) -> Segment:
        """Open a segment or a cell, and compare it with its entry in the manifest."""
        routed_id, _, cell = segment_id.partition("/")
        entry = self._entries[routed_id]
        segment = Segment.open(segment_folder(self.root, segment_id), entry.source_ids if cell else None)
        dimension = self.manifest.encoders[entry.encoder_key].dimension
        rows = entry.cells[int(cell.removeprefix(CELL))] if cell else entry.count
        if segment.source_ids != entry.source_ids or (segment.rows, segment.dimension) != (rows, dimension):
            raise SegmentDamaged(f"{segment.folder}: holds {segment.rows} vectors of {segment.dimension} components, "
                                 f"or other sources; the manifest says {rows} of {dimension}")
        if not cell:
            found = np.bincount(segment.row_source, minlength=len(segment.source_ids))
            for source_id, count in zip(segment.source_ids, found, strict=True):
                source = None if source_id in entry.dead else self.manifest.sources.get(source_id)
                if count != (entry.dead.get(source_id) if source is None else source.vectors[entry.encoder_key]):
                    raise SegmentDamaged(f"{segment.folder}: holds {count} vectors of {source_id}, the manifest says "
                                         "otherwise")
        return segment

    def routing(self, routed_id: str) -> tuple[Routing, NDArray[np.int64]]:
        """Return the centroids of a routed segment.

        Returns
        -------
        routing : Routing
        filled : (cells,) int64
            Index of the centroid of each cell that holds vectors, in the order of the segment's pieces.
        """
        entry = self._entries[routed_id]
        routing = self._keep((routed_id, "routing"), lambda: Routing.open(
            segment_folder(self.root, routed_id), len(entry.cells),
            self.manifest.encoders[entry.encoder_key].dimension))
        return routing, np.flatnonzero(entry.cells)

    def windows(self, source_id: str) -> SourceGroup:
        """Return the group of a source's windows."""
        return self._keep(source_id, lambda: SourceGroup.open(self.root, source_id))

    def vectors(self, source_id: str, encoder_key: str) -> VectorGroup:
        """Return the group of a source's vectors."""
        def opened() -> VectorGroup:
            group = VectorGroup.open(self.root, encoder_key, source_id)
            if group.spec != self.manifest.encoders[encoder_key]:
                raise CorpusDamaged(f"{group.folder}: made by {group.spec}, the manifest says "
                                    f"{self.manifest.encoders[encoder_key]}; {mending(self.root)}")
            return group

        return self._keep((source_id, encoder_key), opened)

    def overview(self, scan_id: str) -> tuple[OverviewLayout, NDArray[np.uint8]]:
        """Return levels, rows and columns of the overview of a scan, and the codes of all levels."""
        stored = self._keep(overview_name(scan_id), lambda: StoredOverview.open(
            self.root, scan_id, self.manifest.sources[scan_id].header))
        return stored.layout, self.keep_array(overview_name(scan_id), stored.read_codes)

    def numbers(self, source_id: str) -> NDArray[np.int64]:
        """Return the window number of each row of a source: (rows,)."""
        def read() -> NDArray[np.int64]:
            numbers = self.windows(source_id).numbers
            self.require_numbers(source_id, numbers)
            return numbers

        return self.keep_array(source_id, read)

    def ascending_numbers(self, source_id: str) -> NDArray[np.int64]:
        """Return the window numbers of a source in ascending order: (rows,)."""
        return self._keep((source_id, "ascending"), lambda: np.sort(self.numbers(source_id)))

    def require_numbers(self, source_id: str, numbers: NDArray[np.int64]) -> None:
        """Raise :class:`CorpusDamaged` unless a source has windows of these numbers, kept or not."""
        count = self.tiling(source_id).n_windows
        if len(numbers) and not 0 <= int(numbers.min()) <= int(numbers.max()) < count:
            raise CorpusDamaged(f"{self.root}: holds windows {numbers.min()} to {numbers.max()} of {source_id}, which "
                                f"has only {count}; {mending(self.root)}")

    def cutouts(self, source_id: str, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the cutouts (n, T, F) of some rows of a source."""
        group = self.windows(source_id)
        group.require_grid(self.config.scan.grid)
        return group.cutouts(rows)

    def column(self, source_id: str, name: str, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Return some rows of a column of a source's windows.

        The whole column is read once and kept, which is no slower than reading some rows.
        """
        def read() -> NDArray[Any]:
            values = self._stored(self.windows(source_id).column, name)
            if name == "spread" and not ((values > 0) & (values < np.inf)).all():
                raise CorpusDamaged(f"{self.root}: the noise of a window of {source_id} has a spread that is not "
                                    f"positive; {mending(self.root)}")
            return values

        return self.keep_array((source_id, name), read)[rows]

    def exposure(self, source_id: str, name: str) -> NDArray[Any]:
        """Return a column of a source's exposure: a row for each coarse channel and time block."""
        return self.keep_array((source_id, "exposure", name),
                               lambda: self._stored(self.windows(source_id).exposure, name))

    def _stored(self, read: Callable[[str], NDArray[Any]], name: str) -> NDArray[Any]:
        """Read a column that every group has; raise :class:`CorpusDamaged` if it is missing."""
        try:
            return read(name)
        except KeyError as error:
            raise CorpusDamaged(f"{error.args[0]}; {mending(self.root)}") from error

    def rows_in_segment(self, segment_id: str, source_id: str) -> NDArray[np.int64]:
        """Return the window numbers of a source in a segment, ascending, and their rows in the segment: (2, n)."""
        def found() -> NDArray[np.int64]:
            segment = self.segment(segment_id)
            rows = np.flatnonzero(segment.row_source == segment.source_ids.index(source_id))
            rows = rows[np.argsort(segment.row_number[rows])]
            return np.stack([segment.row_number[rows], rows])

        return self.keep_array((segment_id, source_id), found)

    def rows(self, source_id: str, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the rows (n,) of windows in their source's group; −1 for a window that was not kept."""
        stored = self.numbers(source_id)
        order = self._keep((source_id, "order"), lambda: np.argsort(stored))
        if not len(stored):
            return np.full(len(numbers), -1, np.int64)
        at = order[np.minimum(np.searchsorted(stored, numbers, sorter=order), len(stored) - 1)]
        return np.where(stored[at] == numbers, at, -1)

    def vectors_of(self, source_id: str, encoder_key: str, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Read the vectors of some rows, in any order: (n, dimension) float32."""
        group = self.vectors(source_id, encoder_key)
        out = np.empty((len(rows), group.dimension), np.float32)
        blocks = rows // ROWS_READ_AT_ONCE
        for block in np.unique(blocks):
            here = blocks == block
            first, last = int(rows[here].min()), int(rows[here].max())
            out[here] = group.vectors(first, last + 1)[rows[here] - first]
        if not (np.isfinite(out).all() and out.any(axis=1).all()):
            raise CorpusDamaged(f"{group.folder}: a vector is zero or not finite; {mending(self.root)}")
        return out

    def tiling(self, source_id: str) -> Tiling:
        """Return the tiling of a source: where its windows lie."""
        if source_id not in self._tilings:  # two threads may make the same one; either is good
            self._tilings[source_id] = self.manifest.sources[source_id].tiling(self.config.scan.grid)
        return self._tilings[source_id]

    def window(self, source_id: str, number: int) -> Window:
        """Return where a stored window of a source lies, in every unit. Similar queries find the same windows."""
        found = self._windows.get((source_id, number))
        if found is not None:
            return found
        if len(self._windows) >= MAX_KEPT_WINDOWS:
            self._windows = {}
        try:
            return self._windows.setdefault((source_id, number), self.tiling(source_id).window(source_id, number))
        except IndexError as error:
            raise CorpusDamaged(f"{self.root}: holds window {number} of {source_id}, which has none of this number; "
                                f"{mending(self.root)}") from error

    def find_source(self, text: str) -> str:
        """Return the id of the source named by its id, the beginning of its id, or a file name.

        Raises
        ------
        QueryError
            No source has this name, or several have; the message lists them. Or the source was removed, or its file
            could not be used; the message says so.
        """
        paths = {source_id: (entry.path, *entry.also_at) for source_id, entry in self.manifest.sources.items()}
        if not sources_named(text, paths) and (why := why_absent(text, self.manifest, undoing(self.root))):
            raise QueryError(f"{text}: {why}")
        return source_named(text, paths, f"such file, and no source of {self.root}")

    def keep_array(self, key: Hashable, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """Return the array that is kept under a key. If there is none, make it, and keep it while there is room.

        An array that does not fit is made again each time. Arrays are read in turn, so it does not matter which of them
        are kept.
        """
        with self._lock:
            if key in self._arrays:
                return self._arrays[key]
        made = make()
        with self._lock:
            if key not in self._arrays and made.nbytes <= self._room:
                self._arrays[key] = made
                self._room -= made.nbytes
        return made

    def keep_object(self, key: Hashable, make: Callable[[], _T]) -> _T:
        """Return the object that is kept under a key for as long as the corpus is open. If there is none, make it."""
        if key not in self._objects:
            made = make()  # two threads may make the same object; either is good
            with self._lock:
                self._objects.setdefault(key, made)
        return cast(_T, self._objects[key])

    def _keep(self, key: Hashable, make: Callable[[], _T]) -> _T:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return cast(_T, self._kept[key])
        made = make()  # two threads may make the same object; either is good
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > MAX_OPEN_GROUPS:
                self._kept.popitem(last=False)
        return made


def _object_ids(manifest: Manifest) -> set[str]:
    """Return the ids of all sources and segments of a generation."""
    return {*manifest.sources, *(entry.id for entry in manifest.segments)}
