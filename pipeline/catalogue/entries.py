"""Entries of a manifest: one for each source, file and index segment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pipeline.errors import Reason
from pipeline.grid.tiling import Tiling
from pipeline.model import CoarseLayout, Header, Source, Status, WindowGrid
from pipeline.support.records import ByteCount, Count, Integer, RowCount, UnixSeconds, WindowCount

CELL = "cell-"
"""Prefix of the name of a cell's folder, inside the folder of its routed segment."""


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """A source whose windows are in the corpus."""

    header: Header
    coarse: CoarseLayout
    path: str
    """Path of the file that was read."""
    size_bytes: ByteCount
    mtime_ns: Integer
    windows_seen: WindowCount
    windows_kept: RowCount
    resolution: str
    """Resolution class, see :meth:`pipeline.catalogue.Manifest.resolution_of`."""
    also_at: tuple[str, ...] = ()
    """Other paths that hold the same scan."""
    vectors: Mapping[str, RowCount] = field(default_factory=dict)
    """Encoder key → number of vectors of this source."""
    overview: bool = False
    """True if the corpus has an overview of this scan (:mod:`pipeline.overview`)."""

    def source(self, source_id: str) -> Source:
        """Return the source that this entry describes."""
        return Source(source_id, self.header, self.coarse, self.path, self.size_bytes, self.mtime_ns)

    def tiling(self, grid: WindowGrid) -> Tiling:
        """Return how a grid cuts the whole band of this source into windows."""
        return Tiling(self.header, grid, self.coarse)


@dataclass(frozen=True, slots=True)
class FileEntry:
    """Result for one file, from the last run that looked at it."""

    size_bytes: ByteCount
    mtime_ns: Integer
    status: Status
    reason: Reason | None = None
    message: str = ""
    source_id: str = ""
    tries: Count = 1
    """Number of runs that have tried the file since its size or time of change last changed."""
    tried_s: UnixSeconds = 0.0
    """Time of the last try in Unix seconds, for a file that failed or was busy; 0 for other files."""
    since_s: UnixSeconds = 0.0
    """Time of the first try counted by ``tries`` in Unix seconds, for a failed or busy file; 0 for other files."""

    @property
    def is_wrong(self) -> bool:
        """True if the file failed or was busy, so that someone may have to act."""
        return self.status in ("failed", "busy")


@dataclass(frozen=True, slots=True)
class SegmentEntry:
    """An index segment."""

    id: str
    encoder_key: str
    resolution: str
    count: Count
    """Number of vectors in the segment, including those that are ``dead``."""
    source_ids: tuple[str, ...]
    """Sources whose vectors the segment holds, including those that are ``dead``."""
    dead: Mapping[str, RowCount] = field(default_factory=dict, hash=False)
    """Source id → its number of dead vectors. Searches skip them: the source is gone, or is in a newer segment."""
    cells: tuple[RowCount, ...] = ()
    """Number of vectors in each cell of a routed segment, zeros until it is built; empty for a plain segment. Each
    cell is a segment of its own. A search reads the cells near its query (:mod:`pipeline.index.routed`)."""
    is_flat: bool = False
    """True for a segment of few vectors, which has no graph. A search compares all of them."""

    @property
    def pieces(self) -> tuple[SegmentEntry, ...]:
        """Segments that can be opened: this one, or its non-empty cells. Each cell lists all sources of the segment."""
        if not self.cells:
            return (self,)
        return tuple(replace(self, id=cell_id(self.id, cell), count=count, cells=())
                     for cell, count in enumerate(self.cells) if count)

    @property
    def routed_id(self) -> str:
        """Id of the routed segment that this cell belongs to; empty if this is no cell."""
        return self.id.partition("/")[0] if "/" in self.id else ""

    @property
    def live_ids(self) -> tuple[str, ...]:
        """Sources that searches find through this segment."""
        return tuple(source_id for source_id in self.source_ids if source_id not in self.dead)

    @property
    def live_count(self) -> int:
        """Number of vectors that searches find through this segment."""
        return self.count - sum(self.dead.values())


def cell_id(routed_id: str, cell: int) -> str:
    """Return the id of one cell of a routed segment."""
    return f"{routed_id}/{CELL}{cell:04d}"
