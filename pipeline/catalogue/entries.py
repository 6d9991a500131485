"""What a manifest says of one source, one file, one segment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from pipeline.errors import Reason
from pipeline.model import CoarseLayout, Header, Source, Status

CELL = "cell-"
"""Begins the name of a cell, in the folder of its routed segment."""


@dataclass(frozen=True, slots=True)
class SourceEntry:
    """One source whose windows are in the corpus."""

    header: Header
    coarse: CoarseLayout
    path: str
    """The file it was read from."""
    size_bytes: int
    mtime_ns: int
    windows_seen: int
    windows_kept: int
    resolution: str
    """Resolution class, see :meth:`Manifest.resolution_of`."""
    also_at: tuple[str, ...] = ()
    """Other paths that hold the same scan."""
    vectors: Mapping[str, int] = field(default_factory=dict)
    """Encoder key → number of vectors."""

    def source(self, source_id: str) -> Source:
        """Return the source that this entry is about."""
        return Source(source_id, self.header, self.coarse, self.path, self.size_bytes, self.mtime_ns)

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """Entry from its dictionary."""
        header, coarse = Header.from_json(record["header"]), CoarseLayout(**record["coarse"])
        return cls(**{**record, "header": header, "coarse": coarse, "also_at": tuple(record["also_at"])})


@dataclass(frozen=True, slots=True)
class FileEntry:
    """What became of one file when it was last looked at."""

    size_bytes: int
    mtime_ns: int
    status: Status
    reason: Reason | None = None
    message: str = ""
    source_id: str = ""
    tries: int = 1
    """Runs that have tried it, at this size and time of change."""
    tried_s: float = 0.0
    """Of a file that failed or was busy: when it was last tried, in Unix seconds; 0 where that is not known."""
    since_s: float = 0.0
    """Of such a file: when it was first tried at this size and time of change."""

    @property
    def is_wrong(self) -> bool:
        """True where it failed or was busy: something may have to be done about it."""
        return self.status in ("failed", "busy")

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """Entry from its dictionary."""
        return cls(**{**record, "reason": Reason(record["reason"]) if record["reason"] else None})


@dataclass(frozen=True, slots=True)
class SegmentEntry:
    """One index segment."""

    id: str
    encoder_key: str
    resolution: str
    count: int
    """Vectors in it, dead ones included."""
    source_ids: tuple[str, ...]
    """Sources whose vectors it holds, dead ones included."""
    dead: Mapping[str, int] = field(default_factory=dict, hash=False)
    """Source id → vectors of it that no longer count: the source is gone, or is in a newer segment."""
    cells: tuple[int, ...] = ()
    """Of a routed segment: vectors in each of its cells, zeros until it is built. Each is a segment of its own, and a
    search asks those near its query (:mod:`pipeline.index.routed`)."""

    @property
    def pieces(self) -> tuple[SegmentEntry, ...]:
        """The segments that can be opened: itself, or its cells, each with all of its sources."""
        if not self.cells:
            return (self,)
        return tuple(replace(self, id=cell_id(self.id, cell), count=count, cells=())
                     for cell, count in enumerate(self.cells) if count)

    @property
    def routed_id(self) -> str:
        """Of a cell, the id of the routed segment that it is part of; else empty."""
        return self.id.partition("/")[0] if "/" in self.id else ""

    @property
    def live_ids(self) -> tuple[str, ...]:
        """Sources that are found through this segment."""
        return tuple(source_id for source_id in self.source_ids if source_id not in self.dead)

    @property
    def live_count(self) -> int:
        """Vectors that are found through this segment."""
        return self.count - sum(self.dead.values())

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Self:
        """Entry from its dictionary."""
        return cls(**{**record, "source_ids": tuple(record["source_ids"]), "cells": tuple(record.get("cells", ()))})


def cell_id(routed_id: str, cell: int) -> str:
    """Id of one cell of a routed segment."""
    return f"{routed_id}/{CELL}{cell:04d}"
