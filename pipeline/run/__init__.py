"""The runs a user starts: ingest, embed, index, remove, verify and upgrade.

Progress comes as snapshots; nothing is printed below the command line.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.config import Config, EncoderConfig
from pipeline.errors import ConfigError
from pipeline.filterbank import FoundFile, find_files
from pipeline.model import EncoderSpec, SourceReport
from pipeline.plan import Plan, split_known
from pipeline.run.cluster import dask_engine
from pipeline.run.corpus import (
    manifest_if_any,
    open_or_create,
    put_in_order,
    require_ingestable,
    require_own_encoder,
    require_same_encoder,
    settled,
    spec_of,
)
from pipeline.run.doctor import Diagnosis, doctor
from pipeline.run.driver import Driver
from pipeline.run.embed import embed_stored, embeds_on_gpu, note_encoder, together, unembedded
from pipeline.run.engine import Engine, SerialEngine
from pipeline.run.index import index_corpus
from pipeline.run.ingest import Stat, disk_errors, make_plan, note_files, require_filterbank, stat_of, works_of
from pipeline.run.judge import Check
from pipeline.run.progress import Listener, Progress, RunReport, Tracker
from pipeline.run.remove import Removal, remove
from pipeline.run.upgrade import Upgrade, upgrade
from pipeline.run.verify import Damage, Verification, verify
from pipeline.store import CorpusStore, Manifest, SegmentEntry

Split = Callable[[Sequence[FoundFile], Iterable[Stat | None], Manifest], tuple[list[FoundFile], list[SourceReport]]]

__all__ = [
    "Check", "Damage", "Diagnosis", "Progress", "Removal", "RunReport", "Upgrade", "Verification", "doctor", "embed",
    "index", "ingest", "remove", "upgrade", "verify",
]


def ingest(
    paths: Sequence[str | Path],
    corpus: str | Path = "corpus",
    client: Any = None,
    *,
    config: Config | None = None,
    serial: bool = False,
    dry_run: bool = False,
    listener: Listener | None = None,
    split: Split = split_known,
    may_be_empty: bool = False,
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
    split : callable
        Says which of the files found are looked at, and what is reported of the others.
    may_be_empty : bool
        Make a corpus even where none of the files is a filterbank file, as long as there are some.

    Returns
    -------
    RunReport

    Raises
    ------
    ConfigError, EncoderError, CorpusMismatch, CorpusLocked, RunError
        Nothing that is committed is lost by any of them; run again to go on. A ConfigError where there is nothing to
        make a corpus of: none is made then.
    """
    began = time.perf_counter()
    root = Path(corpus).absolute()
    config = config or Config.load(root)
    found, reports = find_files([Path(path).absolute() for path in paths])
    if not found and not reports:
        raise ConfigError(f"{', '.join(map(str, paths))}: no filterbank files (.h5, .hdf5, .fil) there")
    needs_filterbank = not require_ingestable(root, config) and not may_be_empty
    config = replace(config, encoder=settled(config.encoder))
    spec = spec_of(root, config.encoder, config)  # before anything is made: it may not be had
    stats = {str(file.path): stat_of(file.path) for file in found}
    tracker = Tracker(listener, files=len(found))
    if dry_run:
        manifest = manifest_if_any(root)
        unknown, known = split(found, stats.values(), manifest)
        plan = make_plan(SerialEngine(), unknown, manifest, config, tracker)
        if needs_filterbank:
            require_filterbank(plan, reports)
        todo = [SourceReport(p.source.path, "skipped", p.source.id, message="would be ingested") for p in plan.todo]
        reports = [*reports, *known, *plan.reports, *todo]
    else:
        with disk_errors(root), ExitStack() as held:
            started, plan = _engine(config, client, serial), None
            if needs_filterbank:  # before anything is made: there may be none
                engine = held.enter_context(started)
                held.callback(engine.cancel)
                plan = make_plan(engine, found, Manifest(), config, tracker)
                require_filterbank(plan, reports)
                started = _handed_on(engine, held)
            store = open_or_create(root, config)
            with store.lock():
                put_in_order(store)
                require_own_encoder(store, config.encoder, spec)
                note_encoder(store, spec, config.encoder)
                unknown, known = split(found, stats.values(), store.manifest())
                reports += known
                if unknown or unembedded(store.manifest(), spec):
                    with _working(store, started, tracker) as engine:
                        if unknown != found or store.manifest().files:  # another run has made the corpus meanwhile
                            plan = None
                        reports += _scan(engine, unknown, stats, store, spec, config, tracker, plan)
                        reports = together(reports, embed_stored(engine, store, config.encoder, config, tracker))
                spec = spec_of(root, config.encoder, config)
    return _report(reports, began, tracker, dry_run, spec)


def embed(
    corpus: str | Path = "corpus",
    client: Any = None,
    *,
    encoder: str | None = None,
    weights: str | Path = "",
    precision: str | None = None,
    config: Config | None = None,
    serial: bool = False,
    dry_run: bool = False,
    listener: Listener | None = None,
) -> RunReport:
    """Make vectors of an encoder for every source of a corpus that has none, from the stored windows alone.

    The files the windows came from need not be there. Vectors of other encoders stay as they are.

    Parameters
    ----------
    corpus : path
    client : distributed.Client, optional
        As :func:`ingest` takes it.
    encoder : str, optional
        Name of the encoder; by default the corpus' own.
    weights : path, optional
        Its weights file; by default that of ``corpus.toml`` for the corpus' own encoder, else the encoder's own.
    precision : str, optional
        What it computes with: one of :data:`pipeline.config.PRECISIONS`, each an encoder of its own; by default that of
        ``corpus.toml`` for the corpus' own encoder, else float32.
    config, serial, dry_run, listener
        As :func:`ingest` takes them.

    Returns
    -------
    RunReport
        One report a source.

    Raises
    ------
    ConfigError, EncoderError, CorpusNotFound, CorpusMismatch, CorpusLocked, RunError
        Nothing that is committed is lost by any of them; run again to go on.
    """
    began = time.perf_counter()
    root = Path(corpus).absolute()
    store = CorpusStore.open(root)
    config = config or Config.load(root)
    store.require_identity(config.identity())
    chosen = settled(_chosen(config.encoder, encoder, weights, precision))
    spec = spec_of(root, chosen, config)
    tracker = Tracker(listener)
    made: Collection[SourceReport] = ()
    if not dry_run:
        with disk_errors(root), store.lock():
            put_in_order(store)
            require_same_encoder(store, spec)
            note_encoder(store, spec, chosen)
            if unembedded(store.manifest(), spec):
                with _working(store, _engine(config, client, serial), tracker) as engine:
                    made = embed_stored(engine, store, chosen, config, tracker)
            spec = spec_of(root, chosen, config)
    manifest = store.manifest()
    lacking, reported = set(unembedded(manifest, spec)), {report.source_id for report in made}
    others = [SourceReport(entry.path, "skipped", source_id,
                           message="would be embedded" if source_id in lacking else "already embedded")
              for source_id, entry in manifest.sources.items() if source_id not in reported]
    return _report([*others, *made], began, tracker, dry_run, spec)


def index(
    corpus: str | Path = "corpus", client: Any = None, *, config: Config | None = None
) -> tuple[SegmentEntry, ...]:
    """Build index segments of the vectors that have none yet, and join small ones (:mod:`pipeline.run.index`).

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
        The new segments, joined ones among them. Fewer than ``index.exact_below`` vectors are left without: searches
        scan them exactly.
    """
    root = Path(corpus).absolute()
    store = CorpusStore.open(root)
    config = config or Config.load(root)
    run = replace(config.run, task_timeout_s=0.0)  # of a million vectors, a graph takes as long as it takes
    is_serial = client is None and not config.run.scheduler and config.run.cluster == "local"
    with disk_errors(root), store.lock(), _engine(replace(config, run=run), client, is_serial) as engine:
        put_in_order(store)
        return index_corpus(engine, store, config.index)


def _scan(
    engine: Engine,
    files: Sequence[FoundFile],
    stats: Mapping[str, Stat | None],
    store: CorpusStore,
    spec: EncoderSpec | None,
    config: Config,
    tracker: Tracker,
    plan: Plan | None = None,
) -> list[SourceReport]:
    """Add what files hold to the corpus: windows, and vectors where there is a ``spec`` of what makes them."""
    if not files:
        return []
    plan = plan or make_plan(engine, files, store.manifest(), config, tracker)
    note_files(store, plan.reports, stats)
    if not plan.todo:
        return list(plan.reports)
    works = works_of(plan, files, store, store.new_staging(), config)
    tracker.enter("scan", tracker.files, tracker.files - len(works))
    driver = Driver(engine, store, spec, embeds_on_gpu(engine, config), tracker)
    return [*plan.reports, *driver.run(works)]


def _chosen(own: EncoderConfig, name: str | None, weights: str | Path, precision: str | None) -> EncoderConfig:
    """Return the encoder asked for; the weights and the precision of the corpus' own encoder are no other's."""
    default = own if name in (None, own.name) else EncoderConfig(name)
    return replace(default, weights=str(Path(weights).absolute()) if weights else default.weights,
                   precision=precision or default.precision)


@contextmanager
def _working(
    store: CorpusStore, started: AbstractContextManager[Engine], tracker: Tracker
) -> Iterator[Engine]:
    """Give an engine; leave nothing in flight and nothing in staging."""
    try:
        with started as engine:
            try:
                yield engine
            finally:
                engine.cancel()
                tracker.tell(force=True)
    finally:
        store.clean_staging()


@contextmanager
def _handed_on(engine: Engine, held: ExitStack) -> Iterator[Engine]:
    """Give an engine that is running; it ends with this block, no longer with that of ``held``."""
    with held.pop_all():
        yield engine


def _engine(config: Config, client: Any, serial: bool) -> AbstractContextManager[Engine]:
    return nullcontext(SerialEngine()) if serial else dask_engine(config.run, client)


def _report(
    reports: Sequence[SourceReport], began: float, tracker: Tracker, dry_run: bool, spec: EncoderSpec | None
) -> RunReport:
    key = "" if spec is None else spec.key
    return RunReport(tuple(reports), time.perf_counter() - began, tracker.tasks, dry_run, key)
