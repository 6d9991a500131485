"""Embed: makes vectors of an encoder for every source that has none, from the stored windows. Reads no source file."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline import tasks
from pipeline.catalogue import Manifest, scans_among
from pipeline.config import Config, EncoderConfig
from pipeline.errors import PipelineError, RunError
from pipeline.execute.cluster import engine_for, runs_on_this_machine
from pipeline.execute.engine import Call, Engine
from pipeline.model import EncoderSpec, SourceReport
from pipeline.run.driver import Driver
from pipeline.run.failures import disk_errors
from pipeline.run.index import gather
from pipeline.run.preconditions import as_made, require_same_encoder, settled, spec_of, with_serial, writing
from pipeline.run.progress import RESUMED, ProgressChoice, RunReport, Tracker, showing
from pipeline.run.task_sizes import slices_of
from pipeline.store import CorpusStore, fingerprint, forget_unused, freeze_projection, is_fitted
from pipeline.support.interrupts import note_saved
from pipeline.views import scan_of

NO_SIGNAL = "no signal: nothing to embed"
"""What a report says of a source without kept windows."""


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
    progress: ProgressChoice = None,
) -> RunReport:
    """Make vectors of an encoder for every source of a corpus that has none, from the stored windows alone.

    The source files need not be there. Vectors of other encoders stay as they are.

    Parameters
    ----------
    corpus : path
        Folder of the corpus.
    client : distributed.Client, optional
        Client of the cluster to run on. It may be without TLS. By default ``config.run`` says where tasks run.
    encoder : str, optional
        Name of the encoder. Default: the corpus' own.
    weights : path, optional
        Weights file of the encoder. Default: the file that ``corpus.toml`` names for the corpus' own encoder, else the
        weights that come with the encoder.
    precision : str, optional
        Number format that the encoder computes with: one of :data:`pipeline.config.PRECISIONS`. Vectors of different
        precisions are vectors of different encoders. Default: that of ``corpus.toml`` for the corpus' own encoder,
        else float32.
    config : Config, optional
        Default: the corpus' own ``corpus.toml`` and the user's settings.
    serial : bool
        Run every task in this process, with the same results: sets ``config.run.serial``.
    dry_run : bool
        Tell which sources have no vectors; write nothing.
    progress : bool or callable, optional
        True shows progress on standard error, False does not. By default it is shown in a notebook only. A callable is
        called with :class:`Progress` snapshots.

    Returns
    -------
    RunReport
        With one report for each source. The averaged views of a scan are in its report.

    Raises
    ------
    CorpusNotFound
        There is no corpus in this folder.
    ConfigError, EncoderError
        The configuration is wrong, the cluster cannot be used, or the encoder cannot be loaded.
    CorpusMismatch
        The corpus was made with other settings, or has another encoder of this name.
    CorpusLocked
        Another run writes to the corpus.
    RunError
        The corpus' disk or the cluster failed. What is committed stays; run again to go on.
    """
    began = time.perf_counter()
    root = Path(corpus).absolute()
    store = CorpusStore.open(root)
    config = as_made(store, with_serial(config or Config.load(root), serial))
    store.require_identity(config.identity())
    chosen = settled(_chosen(config.encoder, encoder, weights, precision))
    spec = spec_of(root, chosen, config, computes_here=runs_on_this_machine(config.run, client))
    made: Collection[SourceReport] = ()
    with showing(progress) as listener:
        tracker = Tracker(listener)
        if not dry_run:
            note_saved("source", of="the vectors of ")
            with disk_errors(root), engine_for(config.run, client) as engine, writing(store, engine):
                require_same_encoder(store, spec)
                with _without_mark(store, "" if chosen.name == config.encoder.name else chosen.name):
                    note_encoder(store, spec, chosen)
                    made = embed_stored(engine, store, chosen, config, tracker)
                    gather(store, config.index)
                spec = spec_of(root, chosen, config)  # the projection may be fitted by now
    key = "" if spec is None else spec.key
    reports = (*_others(store.manifest(), spec, made), *made)
    return RunReport(reports, time.perf_counter() - began, tracker.tasks, dry_run, key)


@contextmanager
def _without_mark(store: CorpusStore, name: str) -> Iterator[None]:
    """Take an encoder out of the corpus again if no vector of it has been stored by the end of the block.

    The encoder is recorded before its first vector is stored, because from then on a search needs the path of its
    weights.
    """
    try:
        yield
    finally:
        forget_unused(store, name)


def _chosen(own: EncoderConfig, name: str | None, weights: str | Path, precision: str | None) -> EncoderConfig:
    """Return the encoder that is asked for. Weights and precision of the corpus' own encoder apply to no other one."""
    default = own if name in (None, own.name) else EncoderConfig(name)
    return replace(default, weights=str(Path(weights).absolute()) if weights else default.weights,
                   precision=precision or default.precision)


def _others(manifest: Manifest, spec: EncoderSpec | None, made: Collection[SourceReport]) -> list[SourceReport]:
    """Report the scans that this run has not embedded, each with all of its views."""
    reported = {report.source_id for report in made}
    lacking = {scan_of(source_id) for source_id in unembedded(manifest, spec)}
    with_signal = {scan_of(source_id) for source_id, entry in manifest.sources.items() if entry.windows_kept}

    def said_of(scan_id: str) -> str:
        if scan_id not in with_signal:
            return NO_SIGNAL
        return "would be embedded" if scan_id in lacking else "already embedded"

    return [SourceReport(manifest.sources[scan_id].path, "skipped", scan_id, message=said_of(scan_id))
            for scan_id in scans_among(manifest.sources) if scan_id not in reported]


def _by_scan(reports: Iterable[SourceReport]) -> list[SourceReport]:
    """Merge the reports of the views of each scan into one, which has the first fault of any of them."""
    merged: dict[str, SourceReport] = {}
    for report in reports:
        scan_id = scan_of(report.source_id)
        one = merged.get(scan_id)
        if one is not None:
            report = replace(report if one.reason is None else one, timing=one.timing + report.timing,
                             windows_embedded=one.windows_embedded + report.windows_embedded)
        merged[scan_id] = replace(report, source_id=scan_id)
    return list(merged.values())


def unembedded(manifest: Manifest, spec: EncoderSpec | None) -> list[str]:
    """Return the ids of the sources without vectors of an encoder.

    If ``spec`` is None, the projection of the encoder is not fitted yet, and all sources lack vectors. The list is
    empty if the corpus has no window to fit the projection on.
    """
    if spec is not None:
        return manifest.lacking(spec.key)
    return list(manifest.sources) if manifest.windows_kept else []


def embed_stored(
    engine: Engine, store: CorpusStore, encoder: EncoderConfig, config: Config, tracker: Tracker
) -> Collection[SourceReport]:
    """Make the vectors that an encoder has not made yet; fit its projection first if it needs one.

    Returns
    -------
    collection of SourceReport
        One for each scan that lacked vectors, for itself or for one of its views.
    """
    spec = spec_of(store.root, encoder, config)
    if not unembedded(store.manifest(), spec):
        return ()
    on_gpu = embeds_on_gpu(engine, config)
    if spec is None:
        _fit(engine, store, encoder, config, on_gpu, tracker)
        spec = spec_of(store.root, encoder, config)
        require_same_encoder(store, spec)
        note_encoder(store, spec, encoder)
    works = _works_of(unembedded(store.manifest(), spec), store, store.new_staging(), encoder, config)
    tracker.enter("embed", len(works))
    return _by_scan(Driver(engine, store, spec, on_gpu, tracker).run(works))


def embeds_on_gpu(engine: Engine, config: Config) -> bool:
    """Return True if embed tasks ask for a worker that offers a GPU."""
    return config.run.embed_on == "gpu" or (config.run.embed_on == "auto" and engine.offers_gpu)


def note_encoder(store: CorpusStore, spec: EncoderSpec | None, encoder: EncoderConfig) -> None:
    """Record an encoder and the path of its weights, which a search needs to embed its query."""
    if spec is not None:
        store.publish(lambda manifest: manifest.with_encoder(spec, encoder.weights))


def merge_reports(reports: Sequence[SourceReport], embedded: Iterable[SourceReport]) -> list[SourceReport]:
    """Merge the reports of scanning and of embedding, so that each source has one report."""
    later = {report.source_id: report for report in embedded}
    both = []
    for report in reports:
        more = later.pop(report.source_id, None) if report.reason is None else None
        said = RESUMED if report.status == "skipped" else report.message
        both.append(report if more is None else replace(
            report, status=more.status, reason=more.reason, message=more.message or said,
            windows_embedded=more.windows_embedded, timing=report.timing + more.timing))
    return [*both, *later.values()]


def _fit(
    engine: Engine, store: CorpusStore, encoder: EncoderConfig, config: Config, on_gpu: bool, tracker: Tracker
) -> None:
    """Fit the encoder's projection on a sample of the corpus' windows, and store it for good."""
    if is_fitted(store.root, encoder.name):
        return
    staged = store.new_staging() / "projection" / "projection.npz"
    tracker.enter("fit", len(store.manifest().sources))
    arguments = (store.root, encoder, config.scan.grid, staged)

    def on_error(name: str, error: BaseException) -> None:
        if isinstance(error, PipelineError):
            raise error
        raise RunError(f"{store.root}: the projection of {name} cannot be fitted: {error}") from error

    for _ in engine.run_all(deque([Call(encoder.name, tasks.fit_projection, arguments, on_gpu)]), on_error):
        tracker.tasks += 1
    freeze_projection(store.root, encoder.name, staged)


def _works_of(
    source_ids: Sequence[str], store: CorpusStore, staging: Path, encoder: EncoderConfig, config: Config
) -> deque[tasks.Work]:
    """Describe the embed tasks of sources whose windows are stored."""
    works: deque[tasks.Work] = deque()
    for source_id in source_ids:
        entry = store.manifest().sources[source_id]
        works.append(tasks.Work(
            corpus=store.root,
            staging=staging,
            source=entry.source(source_id),
            also_at=entry.also_at,
            root=Path(entry.path).parent,
            scan=config.scan,
            encoder=encoder,
            identity=fingerprint(store.identity),
            parts=tuple(slices_of(entry.windows_kept, config.scan.grid)),
            is_stored=True,
        ))
    return works
