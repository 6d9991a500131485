"""Embed: vectors of an encoder for every source that has none, of its stored windows. Reads no file of the archive."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from pipeline import tasks
from pipeline.catalogue import Manifest
from pipeline.config import Config, EncoderConfig, fingerprint
from pipeline.errors import PipelineError, RunError
from pipeline.execute.engine import Engine, pump
from pipeline.model import EncoderSpec, SourceReport
from pipeline.run.driver import Driver
from pipeline.run.plan import slices_of
from pipeline.run.preconditions import require_same_encoder, spec_of
from pipeline.run.progress import Tracker
from pipeline.store import CorpusStore, freeze_projection, is_fitted


def unembedded(manifest: Manifest, spec: EncoderSpec | None) -> list[str]:
    """Ids of the sources without vectors of an encoder; of one yet to be fitted, none where there are no windows."""
    if spec is not None:
        return manifest.lacking(spec.key)
    return list(manifest.sources) if manifest.windows_kept else []


def embed_stored(
    engine: Engine, store: CorpusStore, encoder: EncoderConfig, config: Config, tracker: Tracker
) -> Collection[SourceReport]:
    """Make the vectors that an encoder has not made yet, its projection first where it needs one.

    Returns
    -------
    collection of SourceReport
        Of the sources that had none.
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
    return Driver(engine, store, spec, on_gpu, tracker).run(works)


def embeds_on_gpu(engine: Engine, config: Config) -> bool:
    """Tell whether embed tasks ask for a worker that offers a GPU."""
    return config.run.embed_on == "gpu" or (config.run.embed_on == "auto" and engine.offers_gpu)


def note_encoder(store: CorpusStore, spec: EncoderSpec | None, encoder: EncoderConfig) -> None:
    """Record an encoder, and where its weights are: a search that embeds its query looks there."""
    if spec is not None:
        store.publish(lambda manifest: manifest.with_encoder(spec, encoder.weights))


def together(reports: Sequence[SourceReport], embedded: Iterable[SourceReport]) -> list[SourceReport]:
    """Add what embedding did to what was reported of the same source before: one report a source."""
    later = {report.source_id: report for report in embedded}
    both = []
    for report in reports:
        more = later.pop(report.source_id, None) if report.reason is None else None
        both.append(report if more is None else replace(
            report, status=more.status, reason=more.reason, message=more.message,
            windows_embedded=more.windows_embedded, timing=report.timing + more.timing))
    return [*both, *later.values()]


def _fit(
    engine: Engine, store: CorpusStore, encoder: EncoderConfig, config: Config, on_gpu: bool, tracker: Tracker
) -> None:
    """Fit the encoder's projection on a sample of the corpus and freeze it."""
    if is_fitted(store.root, encoder.name):
        return
    staged = store.new_staging() / "projection" / "projection.npz"
    tracker.enter("fit", len(store.manifest().sources))
    waiting = [(store.root, encoder, config.scan.grid, staged)]

    def submit_next() -> bool:
        if not waiting:
            return False
        engine.submit(encoder.name, tasks.fit_projection, *waiting.pop(), on_gpu=on_gpu)
        return True

    for _, outcome in pump(engine, submit_next):
        tracker.tasks += 1
        if isinstance(outcome, PipelineError):
            raise outcome
        if isinstance(outcome, BaseException):
            raise RunError(f"{store.root}: the projection of {encoder.name} cannot be fitted: {outcome}") from outcome
    freeze_projection(store.root, encoder.name, staged)


def _works_of(
    source_ids: Sequence[str], store: CorpusStore, staging: Path, encoder: EncoderConfig, config: Config
) -> deque[tasks.Work]:
    """Spell out the tasks of sources that are stored."""
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
