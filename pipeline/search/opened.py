"""A generation of a corpus, opened for reading: what is opened stays open while there is room."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from pipeline.config import Config
from pipeline.errors import CorpusDamaged, CorpusError, SegmentDamaged
from pipeline.index import Routing, Segment
from pipeline.model import Window
from pipeline.store import CorpusStore, Manifest, SourceGroup, VectorGroup, segment_folder, source_named
from pipeline.store.layout import mending
from pipeline.windows import Tiling

KEPT_OPEN = 256
"""Groups that are kept open: their window numbers and what the file system said of them."""
KEPT_BYTES = 1 << 28
"""Window numbers and vectors of sources that are in no segment, kept in memory between searches: opening thousands of
small groups takes seconds, comparing what is in them milliseconds."""
READ_ROWS = 4096
"""Rows that are so close are read at once."""

_T = TypeVar("_T")


class OpenCorpus:
    """One generation of a corpus, the current one or that of a given manifest. Threads may share it."""

    def __init__(self, root: Path, manifest: Manifest | None = None) -> None:
        store = CorpusStore.open(root)
        self.root = store.root
        self.manifest = manifest or store.manifest()
        """Pinned: what a run adds meanwhile is not seen."""
        self.config = Config.of_corpus(self.root)
        store.require_identity(self.config.identity())  # corpus.toml may have been edited
        self._kept: OrderedDict[Hashable, object] = OrderedDict()
        self._arrays: dict[Hashable, NDArray[Any]] = {}
        self._room = KEPT_BYTES
        self._lock = threading.Lock()
        self._segments: dict[str, Segment] = {}
        self._routed = {segment.id: segment for segment in self.manifest.segments if segment.cells}

    @contextmanager
    def outlived(self) -> Iterator[None]:
        """Say to open the corpus again where something is missing that was removed since: it stays for a day only.

        Raises
        ------
        CorpusDamaged
            Something else is missing, or altered: of a segment, too, it is said how to mend it.
        CorpusError
            In its place, if the corpus as it is now lacks sources or segments of this generation.
        """
        try:
            yield
        except CorpusDamaged as error:
            newer = CorpusStore.open(self.root).manifest()
            if _held(self.manifest) <= _held(newer):
                if isinstance(error, SegmentDamaged):
                    raise CorpusDamaged(f"{error}; {mending(self.root)}") from error
                raise
            raise CorpusError(f"{self.root}: was opened at generation {self.manifest.generation} and is at "
                              f"{newer.generation} now, which lacks some of it; open the corpus again ({error})"
                              ) from error

    def segment(self, segment_id: str) -> Segment:
        """Open a segment or a cell of one, once."""
        with self._lock:
            if segment_id not in self._segments:
                routed = self._routed.get(segment_id.partition("/")[0])
                self._segments[segment_id] = Segment.open(segment_folder(self.root, segment_id),
                                                          routed.source_ids if routed else None)
            return self._segments[segment_id]

    def routing(self, routed_id: str) -> tuple[Routing, NDArray[np.int64]]:
        """Read the centroids of a routed segment; tell which of them its cells are, in the order of its pieces."""
        cells = self._routed[routed_id].cells
        routing = self._keep((routed_id, "routing"), lambda: Routing.open(
            segment_folder(self.root, routed_id), len(cells)))
        return routing, np.flatnonzero(cells)

    def windows(self, source_id: str) -> SourceGroup:
        """Open a source's windows."""
        return self._keep(source_id, lambda: SourceGroup.open(self.root, source_id))

    def vectors(self, source_id: str, encoder_key: str) -> VectorGroup:
        """Open a source's vectors."""
        return self._keep((source_id, encoder_key), lambda: VectorGroup.open(self.root, encoder_key, source_id))

    def numbers(self, source_id: str) -> NDArray[np.int64]:
        """Return the numbers of a source's windows, one a row."""
        return self.keep_array(source_id, lambda: self.windows(source_id).numbers)

    def column(self, source_id: str, name: str, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Return some rows of a column of a source's windows: the whole column is read, once, as it is no slower."""
        return self.keep_array((source_id, name), lambda: self.windows(source_id).column(name))[rows]

    def rows_in_segment(self, segment_id: str, source_id: str) -> NDArray[np.int64]:
        """Return the numbers of a source's windows in a segment, ascending, and the segment's rows of them: (2, n)."""
        def found() -> NDArray[np.int64]:
            segment = self.segment(segment_id)
            rows = np.flatnonzero(segment.row_source == segment.source_ids.index(source_id))
            rows = rows[np.argsort(segment.row_number[rows])]
            return np.stack([segment.row_number[rows], rows])

        return self.keep_array((segment_id, source_id), found)

    def rows(self, source_id: str, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the rows of windows in their source's group; −1 for one that was not kept."""
        stored = self.numbers(source_id)
        order = self._keep((source_id, "order"), lambda: np.argsort(stored))
        if not len(stored):
            return np.full(len(numbers), -1, np.int64)
        at = order[np.minimum(np.searchsorted(stored, numbers, sorter=order), len(stored) - 1)]
        return np.where(stored[at] == numbers, at, -1)

    def vectors_of(self, source_id: str, encoder_key: str, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Read the vectors of rows, in any order, as (n, dimension) float32."""
        group = self.vectors(source_id, encoder_key)
        out = np.empty((len(rows), group.dimension), np.float32)
        blocks = rows // READ_ROWS
        for block in np.unique(blocks):
            here = blocks == block
            first, last = int(rows[here].min()), int(rows[here].max())
            out[here] = group.vectors(first, last + 1)[rows[here] - first]
        return out

    def tiling(self, source_id: str) -> Tiling:
        """Return how a source was cut."""
        entry = self.manifest.sources[source_id]
        return Tiling(entry.header, self.config.scan.grid, entry.coarse)

    def window(self, source_id: str, number: int) -> Window:
        """Return a window of a source, in every unit."""
        return self.tiling(source_id).window(source_id, number)

    def find_source(self, text: str) -> str:
        """Return the id of the one source named by its id, the beginning of it, or the name of a file of it.

        Raises
        ------
        QueryError
            There is none, or several: these are listed.
        """
        paths = {source_id: (entry.path, *entry.also_at) for source_id, entry in self.manifest.sources.items()}
        return source_named(text, paths, f"such file, and no source of {self.root}")

    def keep_array(self, key: Hashable, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """Return what was made of this key before, else make it, and keep it while there is room.

        What no longer fits is made anew each time: of arrays that are read in turn, the first are as good as any.
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

    def _keep(self, key: Hashable, make: Callable[[], _T]) -> _T:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return cast(_T, self._kept[key])
        made = make()  # two threads may make the same: both are good
        with self._lock:
            self._kept[key] = made
            while len(self._kept) > KEPT_OPEN:
                self._kept.popitem(last=False)
        return made


def _held(manifest: Manifest) -> set[str]:
    return {*manifest.sources, *(entry.id for entry in manifest.segments)}
