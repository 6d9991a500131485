"""The runs a user starts: ingest and index. Progress comes as snapshots; nothing is printed below the command line."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.config import CONFIG_FILE, Config
from pipeline.durable import write_atomic
from pipeline.encoders import load_encoder
from pipeline.errors import ConfigError, CorpusMismatch, CorpusNotFound
from pipeline.filterbank import FoundFile, find_files
from pipeline.model import EncoderSpec, SourceReport
from pipeline.plan import split_known
from pipeline.run.cluster import dask_engine
from pipeline.run.engine import Engine, SerialEngine
from pipeline.run.index import index_corpus
from pipeline.run.ingest import Driver, Stat, disk_errors, file_entry, make_plan, note_files, stat_of, works_of
from pipeline.run.progress import Listener, Progress, RunReport, Tracker
from pipeline.store import CorpusStore, Manifest, SegmentEntry

__all__ = ["Progress", "RunReport", "index", "ingest", "open_or_create"]

logger = logging.getLogger(__name__)


def ingest(
    paths: Sequence[str | Path],
    corpus: str | Path = "corpus",
    client: Any = None,
    *,
    config: Config | None = None,
    serial: bool = False,
    dry_run: bool = False,
    listener: Listener | None = None,
) -> RunReport:
    """Read filterbank files and add what they hold to a corpus.

    Parameters
    ----------
    paths : sequence of path
        Files and folders; folders are walked.
    corpus : path
        Made if it is not there. What is in it already is not read again.
    client : distributed.Client, optional
        Cluster to run on; None for ``config.run.scheduler``, or an embedded one.
    config : Config, optional
        Default: the corpus' own ``corpus.toml``, else the defaults.
    serial : bool
        Run every task in this process instead: same results, for tests and debugging.
    dry_run : bool
        Find and probe only; write nothing.
    listener : callable, optional
        Called with :class:`Progress` snapshots.

    Returns
    -------
    RunReport

    Raises
    ------
    ConfigError, EncoderError, CorpusMismatch, CorpusLocked, RunError
        Nothing that is committed is lost by any of them; run again to go on.
    """
    began = time.perf_counter()
    root = Path(corpus).absolute()
    config = config or Config.load(root)
    found, reports = find_files([Path(path).absolute() for path in paths])
    if not found and not reports:
        raise ConfigError(f"{', '.join(map(str, paths))}: no filterbank files (.h5, .hdf5, .fil) there")
    spec = load_encoder(config.encoder.name, grid=config.scan.grid, weights=config.encoder.weights).spec
    stats = {str(file.path): stat_of(file.path) for file in found}
    tracker = Tracker(listener, files=len(found))
    if dry_run:
        manifest = _manifest_if_any(root, config)
        unknown, known = split_known(found, stats.values(), manifest)
        plan = make_plan(SerialEngine(), unknown, manifest, config, tracker)
        todo = [SourceReport(p.source.path, "skipped", p.source.id, message="would be ingested") for p in plan.todo]
        everything = (*reports, *known, *plan.reports, *todo)
        return RunReport(everything, time.perf_counter() - began, tracker.tasks, dry_run=True)

    with disk_errors(root):
        store = open_or_create(root, config)
        with store.lock():
            store.clean_staging()
            _refuse_other_encoder(store.manifest(), spec, root)
            if gone := store.forget_missing():
                logger.warning("%d sources without their folders are dropped, ingest them anew: %s", len(gone), gone[0])
            _adopt(store, spec)
            unknown, known = split_known(found, stats.values(), store.manifest())
            reports += known
            if unknown:
                try:
                    with _engine(config, client, serial) as engine:
                        reports += _ingest(engine, unknown, stats, store, spec, config, tracker)
                finally:
                    store.clean_staging()
    return RunReport(tuple(reports), time.perf_counter() - began, tracker.tasks)


def _ingest(
    engine: Engine,
    files: Sequence[FoundFile],
    stats: Mapping[str, Stat | None],
    store: CorpusStore,
    spec: EncoderSpec,
    config: Config,
    tracker: Tracker,
) -> list[SourceReport]:
    try:
        plan = make_plan(engine, files, store.manifest(), config, tracker)
        note_files(store, plan.reports, stats)
        if not plan.todo:
            return list(plan.reports)
        on_gpu = config.run.embed_on == "gpu" or (config.run.embed_on == "auto" and engine.offers_gpu)
        works = works_of(plan, files, store, store.new_staging(), config)
        return [*plan.reports, *Driver(engine, store, spec, on_gpu, tracker).run(works)]
    finally:
        engine.cancel()
        tracker.tell(force=True)


def index(
    corpus: str | Path = "corpus", client: Any = None, *, config: Config | None = None
) -> tuple[SegmentEntry, ...]:
    """Build index segments of the vectors that have none yet.

    Parameters
    ----------
    corpus : path
    client : distributed.Client, optional
        Cluster on which segments are built; None for this process.
    config : Config, optional
        Default: the corpus' own.

    Returns
    -------
    tuple of SegmentEntry
        The new segments: none where fewer than ``index.exact_below`` vectors are left, which are scanned exactly.
    """
    root = Path(corpus).absolute()
    store = CorpusStore.open(root)
    config = config or Config.load(root)
    is_serial = client is None and not config.run.scheduler
    with disk_errors(root), store.lock(), _engine(config, client, is_serial) as engine:
        return index_corpus(engine, store, config.index)


def open_or_create(root: Path, config: Config) -> CorpusStore:
    """Open the corpus, refusing one of another identity; or make it, its identity spelt out in ``corpus.toml``."""
    try:
        store = CorpusStore.open(root)
    except CorpusNotFound:
        CorpusStore.refuse_foreign(root)
        _write_config(root, config)  # first: a crash in between leaves it as if the user had written it
        return CorpusStore.create(root, config.identity())
    store.require_identity(config.identity())
    return store


def _write_config(root: Path, config: Config) -> None:
    """Write ``corpus.toml``. [index] and [run] stay as the user's own file has them: flags are for one run."""
    try:
        root.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError, FileNotFoundError) as error:
        raise ConfigError(f"{root}: cannot be a folder ({error.strerror}); name another one for the corpus") from error
    own = Config.load(root)
    write_atomic(root / CONFIG_FILE, replace(config, index=own.index, run=own.run).to_toml().encode())


def _engine(config: Config, client: Any, serial: bool) -> AbstractContextManager[Engine]:
    return nullcontext(SerialEngine()) if serial else dask_engine(config.run, client)


def _manifest_if_any(root: Path, config: Config) -> Manifest:
    try:
        store = CorpusStore.open(root)
    except CorpusNotFound:
        return Manifest()
    store.require_identity(config.identity())
    return store.manifest()


def _refuse_other_encoder(manifest: Manifest, spec: EncoderSpec, root: Path) -> None:
    if manifest.encoders and spec.key not in manifest.encoders:
        held = ", ".join(sorted(manifest.encoders))
        raise CorpusMismatch(f"{root}: its vectors were made by {held}, this run asks for {spec.key}; ask for the same "
                             "encoder and weights, or name another corpus")


def _adopt(store: CorpusStore, spec: EncoderSpec) -> None:
    """Put into the manifest what a killed run had committed but not yet published."""
    recovered = store.recover()
    groups = {group.source_id: group for group in recovered.sources}
    complete = [groups[v.source_id] for v in recovered.vectors if v.source_id in groups and v.spec == spec]
    if not complete:
        return

    def change(manifest: Manifest) -> Manifest:
        for group in complete:
            source, report = group.source, group.report
            manifest = manifest.with_source(source, report).with_vectors(source.id, spec, group.n_windows)
            entry = file_entry(report, (source.size_bytes, source.mtime_ns), manifest)
            manifest = manifest.with_file(source.path, entry)
        return manifest

    store.publish(change)
    logger.info("adopted %d sources that an interrupted run had committed", len(complete))
