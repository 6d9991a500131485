"""Repair: rebuilds damaged objects of a corpus from objects that are whole, and changes nothing else.

Windows are rebuilt from the source's file, vectors from the windows, segments from the vectors; pointer, manifest,
identity and projections from their copies. Each object is rebuilt by the tasks that first made it. The damaged one is
set aside meanwhile (:mod:`pipeline.integrity.set_aside`). A repair that is killed is completed by the next.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

from pipeline import tasks
from pipeline.config import Config, EncoderConfig, RunConfig
from pipeline.errors import ConfigError, CorpusDamaged, CorpusError, EncoderError, PipelineError, Reason, SourceError
from pipeline.execute.cluster import engine_for
from pipeline.execute.engine import Call, Engine
from pipeline.families import mend_families
from pipeline.filterbank import FoundFile
from pipeline.integrity.manifest_files import mend_head, read_head
from pipeline.integrity.set_aside import bring_back, mend_identity, mend_projection, set_aside
from pipeline.integrity.survey import (
    Damage,
    Verification,
    check,
    fingerprints,
    head_damages,
    items_of,
    survey_corpus,
    unchanged_file,
)
from pipeline.model import EncoderSpec, Source, SourceReport
from pipeline.run import (
    Tracker,
    adopt_committed,
    build_routed,
    disk_errors,
    embeds_on_gpu,
    heir_of,
    is_unwritable,
    parts_of,
    rebuild_cell,
    slices_of,
)
from pipeline.store import (
    CorpusStore,
    SourceGroup,
    encoder_config,
    fingerprint,
    overview_folder,
    segment_folder,
    source_folder,
    vector_folder,
)
from pipeline.store.foreign_files import FOLDERS
from pipeline.support.durable import make_folder
from pipeline.support.interrupts import note_saved
from pipeline.tasks import Probed
from pipeline.views import split_id

logger = logging.getLogger(__name__)

REPAIR_ORDER = ("projection", "orphan", "source", "overview", "vectors", "segment", "families")
"""Kinds of objects in the order of repair: each is rebuilt from the kinds before it."""
HEAD_KINDS = frozenset({"folder", "pointer", "manifest", "identity", "config"})
"""Kinds without which nothing else can be read."""

Key = tuple[str, str]
"""(kind, id) of an object."""


class _Failed(Exception):
    """One object cannot be rebuilt; the others can."""


def repair_corpus(
    root: Path, client: Any, sample: float, day: int, run: RunConfig, tracker: Tracker
) -> Verification:
    """Mend the head of a corpus, survey it, rebuild what is damaged, and check that, all under its lock.

    Parameters
    ----------
    client : distributed.Client or None
        Cluster on which objects are rebuilt; None for the one that ``run`` names.
    sample, day
        Which objects are read: see :func:`pipeline.integrity.survey.survey_corpus`.
    """
    began = time.perf_counter()
    store = CorpusStore.for_repair(root)
    with disk_errors(root), store.lock():
        bring_back(root)
        head, notes = _mend_head(root)
        found = survey_corpus(root, sample, day, tracker)
        left = found.damages
        if not any(one.kind in HEAD_KINDS for one in left):
            config = replace(Config.of_corpus(root), run=run)
            store.require_identity(config.identity())
            store.clean_staging()
            store.clean_generations()
            if left:
                with engine_for(run, client) as engine:
                    left = _Repair(store, engine, config, tracker).run(left)
            if not left:
                adopt_committed(store)
            store.clean_staging()
    not_mended = {(one.kind, one.id) for one in left}
    mended = tuple(one for one in (*head, *found.damages) if (one.kind, one.id) not in not_mended)
    return replace(found, damages=left, mended=mended, notes=notes, elapsed_s=time.perf_counter() - began)


def _mend_head(root: Path) -> tuple[list[Damage], tuple[str, ...]]:
    """Mend pointer, manifests, identity and configuration as far as possible.

    Returns
    -------
    list of Damage, tuple of str
        What was damaged, and notes for the user.
    """
    notes = []
    head = read_head(root)
    damages = list(head_damages(root, head))
    for name in FOLDERS:
        make_folder(root / name)
    if head.faults:
        mend_head(root)
        if head.is_lost:
            notes.append(f"generation {head.number} was lost, and the last one before it is used: remove again what "
                         "was removed since then, and build the index")
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
        """Rebuild what is damaged, and return what still is damaged."""
        links = [one for one in damages if one.kind == "link" and os.path.lexists(one.path)]  # the user removes these
        todo: set[Key] = {(one.kind, one.id) for one in damages}
        before = {item.id for item in items_of(self._root, self._store.manifest())}
        for kind in REPAIR_ORDER:
            if kind == "vectors":  # rebuilt windows may differ in their stored bytes: their vectors no longer fit
                todo |= self._vectors_of({source_id for one, source_id in todo if one == "source"})
            of_kind = sorted(key for key in todo if key[0] == kind)
            self._tracker.enter("repair", len(todo), len(todo) - len(of_kind))
            for key in of_kind:
                self._try(key)
        manifest = self._store.manifest()
        again = [item for item in items_of(self._root, manifest)
                 if (item.kind, item.id) in todo or (item.kind == "segment" and item.id not in before)]
        _, still, _ = check(again, manifest, self._tracker)
        return (*links, *(self._with_cause(one) for one in still))

    def _with_cause(self, damage: Damage) -> Damage:
        why = self._failed.get((damage.kind, damage.id))
        return replace(damage, remedy=f"could not be rebuilt ({why}): {damage.remedy}") if why else damage

    def _try(self, key: Key) -> None:
        """Rebuild one object; note why if that fails."""
        kind, name = key
        try:
            {"projection": self._projection, "orphan": self._orphan, "source": self._source, "overview": self._overview,
             "vectors": self._vectors, "segment": self._segment, "families": self._families}[kind](name)
            logger.info("rebuilt: %s %s", kind, name)
            note_saved("repaired object", 1)
        except (CorpusError, SourceError, _Failed) as error:  # other errors end the repair: there may be no cluster
            self._failed[key] = str(error)
            logger.warning("%s %s cannot be rebuilt: %s", kind, name, error)

    def _vectors_of(self, source_ids: set[str]) -> set[Key]:
        """Find the vectors of some sources that no longer fit their windows."""
        manifest = self._store.manifest()
        items = [item for item in items_of(self._root, manifest)
                 if item.kind == "vectors" and item.id.split("/")[1] in source_ids]
        return {(one.kind, one.id) for one in check(items, manifest, self._tracker)[1]}

    def _projection(self, name: str) -> None:
        mend_projection(self._root, name)

    def _families(self, name: str) -> None:
        if not mend_families(self._root):
            raise _Failed("neither families.json nor its copy is whole, or the file of members is damaged")

    def _orphan(self, name: str) -> None:
        self._store.discard(self._root / name)

    def _source(self, source_id: str) -> None:
        """Scan a source's file again, and replace its windows. Of a view, only the view is replaced."""
        _, view = split_id(source_id)
        entry = self._store.manifest().sources[source_id]
        work, whole_report = self._scanned(source_id, only_views=bool(view), views=(view,) if view else (),
                                           overview=False)
        (_, report), = work.made(whole_report)
        if (report.windows_seen, report.windows_kept) != (entry.windows_seen, entry.windows_kept):
            raise _Failed(f"{entry.path} now gives {report.windows_kept} kept of {report.windows_seen} windows, but "
                          f"the manifest has {entry.windows_kept} of {entry.windows_seen}")
        with set_aside(self._root, source_folder(self._root, source_id)):
            self._run_all([(tasks.commit_windows, work, whole_report)])

    def _overview(self, scan_id: str) -> None:
        """Scan a source's file again, and replace its overview."""
        work, report = self._scanned(scan_id, only_views=True, views=(), overview=True)
        with set_aside(self._root, overview_folder(self._root, scan_id)):
            self._run_all([(tasks.commit_windows, work, report)])

    def _scanned(
        self, source_id: str, *, only_views: bool, views: tuple[str, ...], overview: bool
    ) -> tuple[tasks.Work, SourceReport]:
        """Scan the file of a source again, for some views or for its overview. Nothing is committed yet."""
        scan_id, _ = split_id(source_id)
        whole = self._store.manifest().sources[scan_id]
        scan = replace(self._config.scan, views=views, overview=overview)
        path = unchanged_file(self._store.manifest(), source_id)
        if not path:
            raise _Failed("its file is gone or has changed")
        (probed,) = self._run_all([(tasks.probe, FoundFile(Path(path), Path(path).parent, True), scan)])
        if not isinstance(probed, Probed) or probed.source.id != scan_id:
            raise _Failed(probed.message if isinstance(probed, SourceReport) else f"{path} holds {probed.source.id}")
        work = self._work(probed.source, self._config.encoder, [
            (part.start, part.stop) for part in parts_of(whole.tiling(scan.grid))])
        work = replace(work, scan=scan, only_views=only_views)
        parts = self._run_all([(tasks.scan_part, work, i) for i in range(len(work.parts))])
        if bad := next((part for part in parts if part.reason is not None), None):
            raise SourceError(bad.reason or Reason.CRASHED, bad.message)
        return work, reduce(tasks.added, parts, work.new_report())

    def _vectors(self, name: str) -> None:
        """Embed a source's windows again, and replace its vectors."""
        key, source_id = name.split("/")
        if ("source", source_id) in self._failed:
            raise _Failed("its windows could not be rebuilt either")
        manifest = self._store.manifest()
        entry, spec = manifest.sources[source_id], manifest.encoders[key]
        encoder = _encoder_of(spec, manifest.weights.get(key, ""))
        rows = slices_of(entry.windows_kept, self._config.scan.grid)
        try:  # windows whose digests fit may hold something else
            group = SourceGroup.open(self._root, source_id)
            for start, stop in rows:
                group.cutouts(slice(start, stop))
        except CorpusDamaged:
            self._source(source_id)
        work = replace(self._work(entry.source(source_id), encoder, rows), is_stored=True)
        pieces = [tasks.Piece(source_id, i, some) for i, some in enumerate(rows)]
        ended = self._run_all([(tasks.embed_parts, work, spec, (piece,)) for piece in pieces],
                          on_gpu=embeds_on_gpu(self._engine, self._config))
        for (part,) in ended:
            if part.reason is not None:
                raise _Failed(part.message)
        with set_aside(self._root, vector_folder(self._root, key, source_id)):
            self._run_all([(tasks.commit_vectors, work, spec, {source_id: len(rows)},
                            SourceReport(entry.path, "done", source_id))])

    def _segment(self, name: str) -> None:
        """Build a segment again, from its sources that are not dead."""
        manifest, limits = self._store.manifest(), self._config.index
        segment = next((one for one in manifest.segments if one.id == name.partition("/")[0]), None)
        if segment is None:  # a cell whose segment has been rebuilt under another id
            return
        cell = next((piece for piece in segment.pieces if piece.routed_id and piece.id == name), None)
        if cell is not None and not segment.dead:
            with set_aside(self._root, segment_folder(self._root, name)):
                rebuild_cell(self._root, segment, cell, limits.segment_vectors, self._run_all)
            return
        heir = heir_of(manifest, segment, limits)
        with set_aside(self._root, segment_folder(self._root, heir.id)):
            if heir.cells:
                heir = build_routed(self._root, heir, limits.segment_vectors, self._run_all)
            else:
                self._run_all([(tasks.index_sources, self._root, heir)])
        if heir != segment:
            self._store.publish(lambda manifest: manifest.with_segment(heir))

    def _work(self, source: Source, encoder: EncoderConfig, parts: Sequence[tuple[int, int]]) -> tasks.Work:
        return tasks.Work(
            corpus=self._root, staging=self._store.new_staging(), source=source,
            also_at=self._store.manifest().sources[source.id].also_at, root=Path(source.path).parent,
            scan=self._config.scan, encoder=encoder, identity=fingerprint(self._store.identity), parts=tuple(parts))

    def _run_all(self, steps: Sequence[tuple[Any, ...]], *, on_gpu: bool = False) -> list[Any]:
        """Run tasks, given as (task, argument, …), and return their results in order; raise what one of them raises."""
        calls = [Call(i, task, tuple(arguments), on_gpu) for i, (task, *arguments) in enumerate(steps)]
        self._tracker.tell()
        return self._engine.results_of(calls, _on_error)


def _on_error(ticket: Any, error: BaseException) -> None:
    """Raise what a failed task means: the end of the repair, or one object that cannot be rebuilt."""
    if isinstance(error, ConfigError | EncoderError):
        raise _Failed(str(error)) from error
    if isinstance(error, PipelineError) or is_unwritable(error):
        raise error
    raise _Failed(f"{type(error).__name__}: {error}") from error


def _encoder_of(spec: EncoderSpec, weights: str) -> EncoderConfig:
    try:
        return encoder_config(spec, weights)
    except ConfigError as error:
        raise _Failed(str(error)) from error
