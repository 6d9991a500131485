"""A generation of a corpus, opened for reading. It keeps open and in memory the data that it has read."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from pipeline.catalogue import Manifest, source_named
from pipeline.config import Config
from pipeline.errors import CorpusDamaged, CorpusError, SegmentDamaged
from pipeline.grid.tiling import Tiling
from pipeline.index import Routing, Segment
from pipeline.model import Window
from pipeline.store import CorpusStore, SourceGroup, VectorGroup, mending, segment_folder

MAX_OPEN_GROUPS = 256
"""Maximum number of groups that are kept open, with their metadata."""
MAX_KEPT_BYTES = 1 << 28
"""Maximum size of the window numbers and vectors kept in memory between searches, in bytes.

They belong to sources that are in no segment. Opening thousands of small groups takes seconds; comparing their vectors
takes milliseconds."""
ROWS_READ_AT_ONCE = 4096
"""Rows of one block of this length are read together, even if only some are wanted."""

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
        self._routed = {segment.id: segment for segment in self.manifest.segments if segment.cells}

    @contextmanager
    def outlived(self) -> Iterator[None]:
        """Tell damage from age: data that a later generation removed is deleted after a day.

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
                              f"{newer.generation} now, which lacks some of it; open the corpus again ({error})"
                              ) from error

    def segment(self, segment_id: str) -> Segment:
        """Return a segment, or a cell of one. It is opened once."""
        with self._lock:
            if segment_id not in self._segments:
                routed = self._routed.get(segment_id.partition("/")[0])
                self._segments[segment_id] = Segment.open(segment_folder(self.root, segment_id),
                                                          routed.source_ids if routed else None)
            return self._segments[segment_id]

    def routing(self, routed_id: str) -> tuple[Routing, NDArray[np.int64]]:
        """Return the centroids of a routed segment.

        Returns
        -------
        routing : Routing
        filled : (cells,) int64
            Index of the centroid of each cell that holds vectors, in the order of the segment's pieces.
        """
        cells = self._routed[routed_id].cells
        routing = self._keep((routed_id, "routing"), lambda: Routing.open(
            segment_folder(self.root, routed_id), len(cells)))
        return routing, np.flatnonzero(cells)

    def windows(self, source_id: str) -> SourceGroup:
        """Return the group of a source's windows."""
        return self._keep(source_id, lambda: SourceGroup.open(self.root, source_id))

    def vectors(self, source_id: str, encoder_key: str) -> VectorGroup:
        """Return the group of a source's vectors."""
        return self._keep((source_id, encoder_key), lambda: VectorGroup.open(self.root, encoder_key, source_id))

    def numbers(self, source_id: str) -> NDArray[np.int64]:
        """Return the window number of each row of a source: (rows,)."""
        return self.keep_array(source_id, lambda: self.windows(source_id).numbers)

    def column(self, source_id: str, name: str, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Return some rows of a column of a source's windows.

        The whole column is read once and kept, which is no slower than reading some rows.
        """
        return self.keep_array((source_id, name), lambda: self.windows(source_id).column(name))[rows]

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
        return out

    def tiling(self, source_id: str) -> Tiling:
        """Return the tiling of a source: where its windows lie."""
        entry = self.manifest.sources[source_id]
        return Tiling(entry.header, self.config.scan.grid, entry.coarse)

    def window(self, source_id: str, number: int) -> Window:
        """Return where a window of a source lies, in every unit."""
        return self.tiling(source_id).window(source_id, number)

    def find_source(self, text: str) -> str:
        """Return the id of the source named by its id, the beginning of its id, or a file name.

        Raises
        ------
        QueryError
            No source has this name, or several have; the message lists them.
        """
        paths = {source_id: (entry.path, *entry.also_at) for source_id, entry in self.manifest.sources.items()}
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
