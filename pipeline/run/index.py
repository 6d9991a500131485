"""Index: vectors that are in no segment yet become new segments, one task each."""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict, deque
from collections.abc import Iterator

from pipeline import tasks
from pipeline.config import IndexConfig
from pipeline.errors import PipelineError, RunError
from pipeline.run.engine import Engine, pump
from pipeline.store import CorpusStore, Manifest, SegmentEntry

logger = logging.getLogger(__name__)


def index_corpus(engine: Engine, store: CorpusStore, config: IndexConfig) -> tuple[SegmentEntry, ...]:
    """Build segments of all vectors that have none, publishing each as it is finished."""
    waiting = deque(plan_segments(store.manifest(), config))
    store.clean_segments([entry.id for entry in waiting])
    built = []

    def submit_next() -> bool:
        if not waiting:
            return False
        entry = waiting.popleft()
        engine.submit(entry, tasks.index_sources, store.root, entry)
        return True

    try:
        for entry, outcome in pump(engine, submit_next):
            if isinstance(outcome, PipelineError):
                raise outcome
            if isinstance(outcome, BaseException):
                raise RunError(f"segment {entry.id} cannot be built: {outcome}; mend it, run again") from outcome
            store.publish(lambda manifest, entry=entry: manifest.with_segment(entry))  # type: ignore[misc]
            built.append(entry)
    finally:
        engine.cancel()
    return tuple(built)


def plan_segments(manifest: Manifest, config: IndexConfig) -> Iterator[SegmentEntry]:
    """Group the sources that are in no segment: one encoder and resolution class, a bounded number of vectors.

    A group of fewer than ``exact_below`` vectors is left as it is: searches scan it exactly.
    """
    indexed = {(segment.encoder_key, source_id) for segment in manifest.segments for source_id in segment.source_ids}
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for source_id, source in sorted(manifest.sources.items()):
        for key, count in source.vectors.items():
            if count and (key, source_id) not in indexed:
                groups[key, source.resolution].append(source_id)
    for (key, resolution), source_ids in groups.items():
        batch: list[str] = []
        total = 0
        for source_id in source_ids:
            count = manifest.sources[source_id].vectors[key]
            if total >= config.exact_below and batch and total + count > config.segment_vectors:
                yield _entry(key, resolution, batch, total)
                batch, total = [], 0
            batch.append(source_id)
            total += count
        if total >= config.exact_below:
            yield _entry(key, resolution, batch, total)


def _entry(key: str, resolution: str, source_ids: list[str], count: int) -> SegmentEntry:
    """Name a segment by its content, so that a segment built twice is one."""
    digest = hashlib.sha256("\n".join([key, *source_ids]).encode()).hexdigest()[:12]
    return SegmentEntry(f"{key}-{resolution}-{digest}", key, resolution, count, tuple(source_ids))
