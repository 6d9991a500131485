"""Repair: what is damaged is rebuilt from what is not, and nothing else is touched.

Windows come from the source's file, vectors from the windows, segments from the vectors; pointer, manifest, identity
and projections from their copies. Each is put in place as a run would put it there, what it replaces set aside
meanwhile (:mod:`pipeline.store.mending`): a repair that is killed is taken up by the next.
"""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

from pipeline import tasks
from pipeline.config import Config, EncoderConfig, fingerprint
from pipeline.durable import make_folder
from pipeline.errors import ConfigError, CorpusDamaged, CorpusError, EncoderError, PipelineError, Reason, SourceError
from pipeline.filterbank import FoundFile
from pipeline.model import Source, SourceReport
from pipeline.plan import Probed, parts_of, slices_of
from pipeline.run.cluster import dask_engine
from pipeline.run.corpus import adopt_committed
from pipeline.run.embed import embeds_on_gpu
from pipeline.run.engine import Engine, SerialEngine, pump
from pipeline.run.index import heir_of
from pipeline.run.ingest import disk_errors, is_unwritable
from pipeline.run.progress import Tracker
from pipeline.run.routed import build_routed, rebuild_cell
from pipeline.run.verify import (
    Damage,
    Verification,
    check,
    fingerprints,
    head_damages,
    items_of,
    read_through,
    unchanged_file,
)
from pipeline.store import CorpusStore, segment_folder, source_folder, vector_folder
from pipeline.store.head import mend_head, read_head
from pipeline.store.identity import read_identity
from pipeline.store.mending import bring_back, mend_identity, mend_projection, set_aside
from pipeline.store.survey import FOLDERS
from pipeline.windows import Tiling

logger = logging.getLogger(__name__)

ORDER = ("projection", "orphan", "source", "vectors", "segment")
"""Each kind is rebuilt from those before it."""
HEAD = frozenset({"folder", "pointer", "manifest", "identity", "config"})

Key = tuple[str, str]
"""(kind, id) of an object."""


class _Failed(Exception):
    """An object cannot be rebuilt; the others can."""


def repaired(
    root: Path, client: Any, sample: float, day: int, place: Mapping[str, Any], serial: bool, tracker: Tracker
) -> Verification:
    """Verify a corpus under its lock, rebuild what is damaged, and verify that."""
    began = time.perf_counter()
    store = CorpusStore(root, {})
    with disk_errors(root), store.lock():
        bring_back(root)
        head, notes = _mend_head(root)
        found = read_through(root, sample, day, tracker)
        left = found.damages
        if not any(one.kind in HEAD for one in left):
            store.identity = read_identity(root)
            config = Config.load(root, {"run": place})
            store.require_identity(config.identity())
            store.clean_staging()
            if left:
                with nullcontext(SerialEngine()) if serial else dask_engine(config.run, client) as engine:
                    links = [one for one in left if one.kind == "link" and os.path.lexists(one.path)]
                    left = (*links, *_Repair(store, engine, config, tracker).run(left))
            if not left:
                adopt_committed(store)
            store.clean_staging()
    not_mended = {(one.kind, one.id) for one in left}
    mended = tuple(one for one in (*head, *found.damages) if (one.kind, one.id) not in not_mended)
    return replace(found, damages=left, mended=mended, notes=notes, elapsed_s=time.perf_counter() - began)


def _mend_head(root: Path) -> tuple[list[Damage], tuple[str, ...]]:
    """Mend what can be mended of pointer, manifests, identity and configuration; return what was damaged, and notes."""
    notes = []
    head = read_head(root)
    damages = list(head_damages(root, head))
    for name in FOLDERS:
        make_folder(root / name)
    if head.faults:
        mend_head(root)
        if head.is_lost:
            notes.append(f"generation {head.number} was lost and the last one before it taken: what was removed since "
                         "is to be removed again, and the index to be built")
    mended = read_head(root)
    if any(one.kind in ("identity", "config") for one in head_damages(root, mended)):
        try:
            mend_identity(root, mended.manifest, fingerprints(root, mended.manifest))
        except CorpusDamaged as error:
            notes.append(str(error))
    return damages, tuple(notes)


class _Repair:
    """Rebuilds objects of a corpus whose lock is held."""

    def __init__(self, store: CorpusStore, engine: Engine, config: Config, tracker: Tracker) -> None:
        self._store = store
        self._root = store.root
        self._engine = engine
        self._config = config
        self._tracker = tracker
        self._failed: dict[Key, str] = {}
        """Objects that could not be rebuilt, and why."""

    def run(self, damages: Sequence[Damage]) -> tuple[Damage, ...]:
        """Rebuild what is damaged and return what still is."""
        todo: set[Key] = {(one.kind, one.id) for one in damages}
        before = {item.id for item in items_of(self._root, self._store.manifest())}
        for kind in ORDER:
            if kind == "vectors":  # of windows that are stored in other bytes than they were, also
                todo |= self._vectors_of({source_id for one, source_id in todo if one == "source"})
            of_kind = sorted(key for key in todo if key[0] == kind)
            self._tracker.enter("repair", len(todo), len(todo) - len(of_kind))
            for key in of_kind:
                self._try(key)
        manifest = self._store.manifest()
        again = [item for item in items_of(self._root, manifest)
                 if (item.kind, item.id) in todo or (item.kind == "segment" and item.id not in before)]
        _, still, _ = check(again, manifest, self._tracker)
        return tuple(replace(one, remedy=f"could not be rebuilt ({why}): {one.remedy}")
                     if (why := self._failed.get((one.kind, one.id))) else one for one in still)

    def _try(self, key: Key) -> None:
        kind, name = key
        try:
            {"projection": self._projection, "orphan": self._orphan, "source": self._source, "vectors": self._vectors,
             "segment": self._segment}[kind](name)
            logger.info("rebuilt: %s %s", kind, name)
        except (ConfigError, EncoderError, CorpusError, SourceError, _Failed) as error:
            self._failed[key] = str(error)
            logger.warning("%s %s cannot be rebuilt: %s", kind, name, error)

    def _vectors_of(self, source_ids: set[str]) -> set[Key]:
        """Find the vectors that do not fit the windows any more."""
        manifest = self._store.manifest()
        items = [item for item in items_of(self._root, manifest)
                 if item.kind == "vectors" and item.id.split("/")[1] in source_ids]
        return {(one.kind, one.id) for one in check(items, manifest, self._tracker)[1]}

    def _projection(self, name: str) -> None:
        mend_projection(self._root, name)

    def _orphan(self, name: str) -> None:
        self._store.discard(self._root / name)

    def _source(self, source_id: str) -> None:
        """Scan a source's file again."""
        entry, scan = self._store.manifest().sources[source_id], self._config.scan
        path = unchanged_file(self._store.manifest(), source_id)
        if not path:
            raise _Failed("its file is gone or has changed")
        (probed,) = self._all([(tasks.probe, FoundFile(Path(path), Path(path).parent), scan)])
        if not isinstance(probed, Probed) or probed.source.id != source_id:
            raise _Failed(probed.message if isinstance(probed, SourceReport) else f"{path} holds {probed.source.id}")
        work = self._work(probed.source, self._config.encoder, [
            (part.start, part.stop) for part in parts_of(Tiling(entry.header, scan.grid, entry.coarse))])
        parts = self._all([(tasks.scan_part, work, i) for i in range(len(work.parts))])
        if bad := next((part for part in parts if part.reason is not None), None):
            raise SourceError(bad.reason or Reason.CRASHED, bad.message)
        report = reduce(tasks.added, parts, work.new_report())
        if (report.windows_seen, report.windows_kept) != (entry.windows_seen, entry.windows_kept):
            raise _Failed(f"{path} gives {report.windows_kept} of {report.windows_seen} windows, there were "
                          f"{entry.windows_kept} of {entry.windows_seen}")
        with set_aside(self._root, source_folder(self._root, source_id)):
            self._all([(tasks.commit_windows, work, report)])

    def _vectors(self, name: str) -> None:
        """Embed a source's windows again."""
        key, source_id = name.split("/")
        if ("source", source_id) in self._failed:
            raise _Failed("nor could the windows they are made of")
        manifest = self._store.manifest()
        entry, spec = manifest.sources[source_id], manifest.encoders[key]
        encoder = EncoderConfig(spec.name, manifest.weights.get(key, ""), spec.precision)
        rows = slices_of(entry.windows_kept, self._config.scan.grid)
        work = replace(self._work(entry.source(source_id), encoder, rows), is_stored=True)
        pieces = [tasks.Piece(source_id, i, some) for i, some in enumerate(rows)]
        ended = self._all([(tasks.embed_parts, work, spec, (piece,)) for piece in pieces],
                          on_gpu=embeds_on_gpu(self._engine, self._config))
        for (part,) in ended:
            if part.reason is not None:
                raise _Failed(part.message)
        with set_aside(self._root, vector_folder(self._root, key, source_id)):
            self._all([(tasks.commit_vectors, work, spec, len(rows), SourceReport(entry.path, "done", source_id))])

    def _segment(self, name: str) -> None:
        """Build a segment again, of those of its sources that count."""
        manifest, limits = self._store.manifest(), self._config.index
        segment = next((one for one in manifest.segments if one.id == name.partition("/")[0]), None)
        if segment is None:  # of a cell: its segment has been built anew
            return
        cell = next((piece for piece in segment.pieces if piece.routed_id and piece.id == name), None)
        if cell is not None and not segment.dead:
            with set_aside(self._root, segment_folder(self._root, name)):
                rebuild_cell(self._root, segment, cell, limits.segment_vectors, self._all)
            return
        heir = heir_of(manifest, segment, limits)
        with set_aside(self._root, segment_folder(self._root, heir.id)):
            if heir.cells:
                heir = build_routed(self._root, heir, limits.segment_vectors, self._all)
            else:
                self._all([(tasks.index_sources, self._root, heir)])
        if heir != segment:
            self._store.publish(lambda manifest: manifest.with_segment(heir))

    def _work(self, source: Source, encoder: EncoderConfig, parts: Sequence[tuple[int, int]]) -> tasks.Work:
        return tasks.Work(
            corpus=self._root, staging=self._store.new_staging(), source=source,
            also_at=self._store.manifest().sources[source.id].also_at, root=Path(source.path).parent,
            scan=self._config.scan, encoder=encoder, identity=fingerprint(self._store.identity), parts=tuple(parts))

    def _all(self, calls: Sequence[tuple[Any, ...]], *, on_gpu: bool = False) -> list[Any]:
        """Run tasks and return what they return, in their order; raise what one of them raises."""
        waiting = deque(enumerate(calls))
        results: dict[int, Any] = {}

        def submit_next() -> bool:
            if not waiting:
                return False
            number, (task, *arguments) = waiting.popleft()
            self._engine.submit(number, task, *arguments, on_gpu=on_gpu)
            return True

        for number, outcome in pump(self._engine, submit_next):
            if isinstance(outcome, BaseException):
                self._engine.cancel()
                if isinstance(outcome, PipelineError) or is_unwritable(outcome):
                    raise outcome
                raise _Failed(f"{type(outcome).__name__}: {outcome}") from outcome
            results[number] = outcome
            self._tracker.tell()
        return [results[number] for number in range(len(calls))]
