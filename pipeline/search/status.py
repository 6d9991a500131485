"""Counts of what a corpus holds."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from pipeline.catalogue import Manifest, scans_among
from pipeline.grid.coverage import Coverage, share_skipped
from pipeline.model import WindowGrid
from pipeline.views import View, view_of


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """How the vectors of one encoder are searched."""

    vectors_indexed: int
    """Number of vectors in segments of the index."""
    vectors_unindexed: int
    """Number of vectors in no segment. Every search with this encoder compares all of them."""
    segments: int
    """Number of segments."""
    cells: int = 0
    """Number of cells of the routed segments. A query is compared only with cells near it."""


@dataclass(frozen=True, slots=True)
class CorpusStatus:
    """Counts of one generation of a corpus."""

    corpus: str
    """Folder of the corpus."""
    generation: int
    """Number of the generation."""
    sources: int
    """Number of sources. Averaged views of a scan are not counted."""
    resolutions: Mapping[str, int]
    """Resolution class → number of sources, averaged views included."""
    files: Mapping[str, int]
    """Status (done, skipped, failed or busy) → number of files that were looked at."""
    reasons: Mapping[str, int]
    """Reason code → number of files."""
    windows_seen: int
    """Number of windows that were searched for signals, kept or not."""
    windows_kept: int
    """Number of windows that were kept."""
    vectors: Mapping[str, int]
    """Encoder key → number of vectors."""
    encoder: str
    """Key of the encoder whose vectors are compared by default; empty where a search must name one."""
    sources_embedded: Mapping[str, int]
    """Encoder key → number of sources that it has encoded. A source without kept windows has no vectors, but counts."""
    windows_lacking: Mapping[str, int]
    """Encoder key → number of kept windows without a vector of it."""
    index: Mapping[str, IndexStatus]
    """Encoder key → how its vectors are searched."""
    size_bytes: int
    """Size of all files in the folder."""
    without_signal: int = 0
    """Number of sources in which windows were searched and none was kept."""
    not_searched: int = 0
    """Number of sources in which no window was searched: none is in the band of the corpus, or all are masked."""
    partly_covered: int = 0
    """Number of sources with channels or spectra that are in no window."""
    share_skipped: float = 0.0
    """Share of the samples of all sources that is in no window."""
    views: Mapping[str, int] = field(default_factory=dict)
    """Averaged view → number of sources that have it."""
    overviews: int = 0
    """Number of sources that have an overview."""

    def to_json(self) -> dict[str, Any]:
        """Return a plain dictionary, as ``status --json`` prints it, with sums of ``index`` over all encoders."""
        sums = {item.name: sum(getattr(one, item.name) for one in self.index.values()) for item in fields(IndexStatus)}
        return {**asdict(self), **sums}


def status_of(root: Path, manifest: Manifest, encoder: str, grid: WindowGrid) -> CorpusStatus:
    """Count what a generation holds, and the size of its folder on disk.

    Parameters
    ----------
    encoder : str
        Key of the encoder whose vectors are compared by default, or an empty text.
    grid : WindowGrid
        Shape and spacing of the windows of the corpus.
    """
    sources, files = manifest.sources.values(), manifest.files.values()
    scans = [manifest.sources[scan_id] for scan_id in scans_among(manifest.sources)]
    views = Counter(filter(None, map(view_of, manifest.sources)))
    vectors = manifest.vector_counts()
    coverage = [Coverage.of(source.tiling(grid)) for source in scans]
    return CorpusStatus(
        corpus=str(root),
        generation=manifest.generation,
        sources=len(scans),
        resolutions=_counted(source.resolution for source in sources),
        files=_counted(file.status for file in files),
        reasons=_counted(str(file.reason) for file in files if file.reason is not None),
        windows_seen=manifest.windows_seen,
        windows_kept=manifest.windows_kept,
        without_signal=sum(source.windows_seen > 0 and not source.windows_kept for source in scans),
        not_searched=sum(not source.windows_seen for source in scans),
        partly_covered=sum(covered.samples_skipped > 0 for covered in coverage),
        share_skipped=share_skipped(coverage),
        views=dict(sorted(views.items(), key=lambda item: View.named(item[0]).order)),
        overviews=sum(entry.overview for entry in manifest.sources.values()),
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
    except FileNotFoundError:  # a run has just removed it
        return 0
