"""What a corpus holds, counted."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from pipeline.catalogue import Manifest


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """How the vectors of one encoder are searched."""

    vectors_indexed: int
    """Vectors in index segments."""
    vectors_unindexed: int
    """Vectors that every search by this encoder scans."""
    segments: int
    cells: int = 0
    """Cells of the routed segments, each asked by the queries near it."""


@dataclass(frozen=True, slots=True)
class CorpusStatus:
    """A generation of a corpus in numbers."""

    corpus: str
    """The folder."""
    generation: int
    sources: int
    resolutions: Mapping[str, int]
    """Resolution class → sources."""
    files: Mapping[str, int]
    """Status → files that were looked at: done, skipped, failed, busy."""
    reasons: Mapping[str, int]
    """Reason code → files."""
    windows_seen: int
    """Windows searched for signals, kept or not."""
    windows_kept: int
    vectors: Mapping[str, int]
    """Encoder key → vectors."""
    encoder: str
    """Key of the encoder whose vectors a search compares unless it names another; empty where it must."""
    sources_embedded: Mapping[str, int]
    """Encoder key → sources that have vectors of it, if only none of no windows."""
    windows_lacking: Mapping[str, int]
    """Encoder key → windows kept of which it has no vectors yet."""
    index: Mapping[str, IndexStatus]
    """Encoder key → how its vectors are searched."""
    size_bytes: int
    """Of all files in the folder."""

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary, as ``status --json`` prints it; also with what ``index`` says of all encoders together."""
        sums = {item.name: sum(getattr(one, item.name) for one in self.index.values()) for item in fields(IndexStatus)}
        return {**asdict(self), **sums}


def status_of(root: Path, manifest: Manifest, encoder: str) -> CorpusStatus:
    """Count what a generation holds, and what the folder takes on disk; ``encoder`` is what a search compares by."""
    sources, files = manifest.sources.values(), manifest.files.values()
    vectors = manifest.vector_counts()
    return CorpusStatus(
        corpus=str(root),
        generation=manifest.generation,
        sources=len(sources),
        resolutions=_counted(source.resolution for source in sources),
        files=_counted(file.status for file in files),
        reasons=_counted(str(file.reason) for file in files if file.reason is not None),
        windows_seen=manifest.windows_seen,
        windows_kept=manifest.windows_kept,
        vectors=vectors,
        encoder=encoder,
        sources_embedded={key: sum(key in source.vectors for source in sources) for key in vectors},
        windows_lacking={key: sum(s.windows_kept for s in sources if key not in s.vectors) for key in vectors},
        index={key: _index_status(manifest, key, count) for key, count in vectors.items()},
        size_bytes=sum(_size(Path(folder, name)) for folder, _, names in os.walk(root) for name in names),
    )


def _index_status(manifest: Manifest, key: str, count: int) -> IndexStatus:
    segments = [segment for segment in manifest.segments if segment.encoder_key == key]
    indexed = sum(segment.live_count for segment in segments)
    return IndexStatus(indexed, count - indexed, len(segments),
                       cells=sum(len(segment.pieces) for segment in segments if segment.cells))


def _counted(values: Any) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except FileNotFoundError:  # a run is at work
        return 0
