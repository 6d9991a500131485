"""Prepares the corpus of a run: makes or opens it, compares its settings, and puts it in order after dead runs."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.catalogue import Manifest, check_consistency
from pipeline.config import CONFIG_FILE, SET_WHEN_MADE, Config, EncoderConfig
from pipeline.encoders import needs_projection, require_precision, resolve_precision, versions
from pipeline.errors import ConfigError, CorpusDamaged, CorpusMismatch, CorpusNotFound
from pipeline.execute.cluster import runs_on_this_machine
from pipeline.execute.engine import Engine
from pipeline.model import EncoderSpec
from pipeline.run.failures import disk_errors
from pipeline.run.file_entries import file_entry
from pipeline.store import CorpusStore, corpus_encoder, embedding, encoder_config, is_fitted, mending
from pipeline.support.durable import write_atomic
from pipeline.views import AUTO, is_plain

logger = logging.getLogger(__name__)


def settled(encoder: EncoderConfig, manifest: Manifest | None = None) -> EncoderConfig:
    """Return an encoder whose precision is settled, and its version if the corpus has vectors of it.

    The precision ``auto`` becomes the fastest one on this machine. The version becomes the newest that both the corpus
    and this program have.
    """
    encoder = replace(encoder, precision=resolve_precision(encoder.name, encoder.precision))
    if manifest is None or encoder.version is not None:
        return encoder
    own = [spec.version for key, spec in manifest.encoders.items()
           if encoder_config(spec, manifest.weights.get(key, "")) == replace(encoder, version=spec.version)]
    return replace(encoder, version=max(set(own) & set(versions(encoder.name)), default=None))


def for_new_corpus(config: Config) -> Config:
    """Return the settings that a new corpus is made with: what is not set is set to what suits new corpora."""
    scan = config.scan
    views = (AUTO,) if scan.views is None else scan.views
    on = {name: True for name in SET_WHEN_MADE if getattr(scan, name) is None}
    return replace(config, scan=replace(scan, views=views, **on))


def as_made(store: CorpusStore, config: Config) -> Config:
    """Return the settings of a run with what only the making of its corpus decides, unless they name it."""
    made = store.identity.get("scan")
    if not isinstance(made, Mapping):
        return config
    own: dict[str, Any] = {name: made.get(name) is True for name in SET_WHEN_MADE if getattr(config.scan, name) is None}
    return replace(config, scan=replace(config.scan, **own))


def require_ingestable(root: Path, config: Config) -> bool:
    """Return True if there is a corpus, False if one can be made.

    Raises
    ------
    CorpusMismatch
        The corpus was made with other settings, or has another encoder.
    ConfigError
        There is no corpus, and the folder holds other things.
    """
    try:
        store = CorpusStore.open(root)
    except CorpusNotFound:
        CorpusStore.refuse_foreign(root)
        return False
    store.require_identity(as_made(store, config).identity())
    _require_own_name(root, config.encoder)
    return True


def open_or_create(root: Path, config: Config) -> CorpusStore:
    """Open the corpus if it has the identity of ``config``; make it, with its ``corpus.toml``, if there is none."""
    try:
        store = CorpusStore.open(root)
    except CorpusNotFound:
        CorpusStore.refuse_foreign(root)
        _write_config(root, config)  # first: if a crash follows, the file counts as the user's
        return CorpusStore.create(root, config.identity())
    store.require_identity(config.identity())
    return store


def make_corpus(root: Path, config: Config, client: Any = None) -> None:
    """Make an empty corpus if there is none.

    Raises
    ------
    EncoderError
        The encoder cannot be loaded. No corpus is made.
    ConfigError
        Something else is in the corpus' place.
    RunError
        The disk cannot be written.
    """
    if not require_ingestable(root, config):
        config = for_new_corpus(replace(config, encoder=settled(config.encoder)))
        spec_of(root, config.encoder, config, computes_here=runs_on_this_machine(config.run, client))
        with disk_errors(root):
            open_or_create(root, config)


def _write_config(root: Path, config: Config) -> None:
    """Write ``corpus.toml``. An existing file keeps its [index]: flags are for one run."""
    try:
        root.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError, FileNotFoundError) as error:
        raise ConfigError(f"{root}: cannot be a folder ({error.strerror}); name another one for the corpus") from error
    own = Config.of_corpus(root)
    write_atomic(root / CONFIG_FILE, replace(config, index=own.index).to_toml().encode())


def manifest_if_any(root: Path) -> Manifest:
    """Read the manifest of the corpus; return an empty one if there is no corpus."""
    try:
        return CorpusStore.open(root).manifest()
    except CorpusNotFound:
        return Manifest()


def spec_of(
    root: Path, encoder: EncoderConfig, config: Config, *, computes_here: bool = False
) -> EncoderSpec | None:
    """Load an encoder and return its spec, or None if its projection must be fitted first.

    Parameters
    ----------
    computes_here : bool
        True if this machine computes the vectors.

    Raises
    ------
    EncoderError
        The encoder cannot be loaded, or this machine computes the vectors but does not support the precision.
    """
    if computes_here:
        require_precision(encoder.name, encoder.precision)
    loaded = corpus_encoder(root, encoder, config.scan.grid)
    return loaded.spec if is_fitted(root, encoder.name) else None


@contextmanager
def writing(store: CorpusStore, engine: Engine) -> Iterator[None]:
    """Hold the lock of a corpus that is in order. At the end, no task is in flight and staging is empty.

    Raises
    ------
    CorpusLocked
        Another run writes to the corpus.
    """
    with store.lock():
        put_in_order(store)
        try:
            yield
        finally:
            try:
                engine.close()  # first: a worker may still write into staging
            finally:
                store.clean_staging()


def with_serial(config: Config, serial: bool) -> Config:
    """Return a configuration in which every task runs in this process if ``serial`` is True, else the same one."""
    return replace(config, run=replace(config.run, serial=True)) if serial else config


def put_in_order(store: CorpusStore) -> None:
    """Delete what dead runs left, forget sources whose folders are gone, and adopt what was committed."""
    store.clean_staging()
    store.clean_generations()
    store.clean_retired()
    if gone := store.forget_missing():
        logger.warning("%d sources have lost their folders and are forgotten; ingest their files again. First source: "
                       "%s", len(gone), gone[0])
    adopt_committed(store)


def adopt_committed(store: CorpusStore) -> None:
    """Add groups to the manifest that were committed by a run that died before it published them."""
    recovered = store.recover()
    if not (recovered.sources or recovered.vectors or recovered.overviews):
        return

    def change(manifest: Manifest) -> Manifest:
        manifest = manifest.with_sources((group.source, group.report) for group in recovered.sources)
        manifest = manifest.with_files({
            group.source.path: file_entry(group.report, (group.source.size_bytes, group.source.mtime_ns), manifest)
            for group in recovered.sources if is_plain(group.source_id)})
        for spec in dict.fromkeys(vectors.spec for vectors in recovered.vectors):
            counts = {vectors.source_id: vectors.count for vectors in recovered.vectors
                      if vectors.spec == spec and vectors.source_id in manifest.sources}  # not replaced by a longer one
            manifest = manifest.with_vectors_of(spec, counts)
        manifest = manifest.with_overviews(scan_id for scan_id in recovered.overviews if scan_id in manifest.sources)
        try:
            check_consistency(manifest)  # otherwise, the next generation could not be read
        except ValueError as error:
            raise CorpusDamaged(f"{store.root}: holds a group that no manifest names, and that cannot be taken in "
                                f"({error}); {mending(store.root)}") from error
        return manifest

    store.publish(change)
    logger.info("adopted windows of %d sources, %d groups of vectors and %d overviews, which an interrupted run had "
                "committed", len(recovered.sources), len(recovered.vectors), len(recovered.overviews))


def _require_own_name(root: Path, asked: EncoderConfig) -> None:
    """Raise :class:`CorpusMismatch` unless an ingest asks for the corpus' own encoder and precision by name."""
    own = Config.of_corpus(root).encoder
    add = f"then add vectors with: {embedding(root, asked)}"
    if asked.name != own.name:
        raise CorpusMismatch(f"{root}: its encoder is {own.name}, this run asks for {asked.name}; ingest without "
                             f"--encoder, {add}")
    precision, own_precision = settled(asked).precision, settled(own).precision
    if precision != own_precision:
        raise CorpusMismatch(f"{root}: its encoder {own.name} computes in {own_precision}, this run asks for "
                             f"{precision}; ingest without --precision, {add} --precision {precision}")


def require_own_encoder(store: CorpusStore, asked: EncoderConfig, spec: EncoderSpec | None) -> None:
    """Raise :class:`CorpusMismatch` if a corpus has vectors, but none of the encoder that an ingest asks for.

    An encoder without vectors is no obstacle: a killed ``embed`` leaves its name in a corpus.
    """
    root, manifest = store.root, store.manifest()
    _require_own_name(root, asked)
    made = {key for entry in manifest.sources.values() for key in entry.vectors}
    if spec is not None and made and spec.key not in manifest.encoders:
        raise CorpusMismatch(f"{root}: its vectors were made by {', '.join(sorted(made))}, this run asks for "
                             f"{spec.key}; ask for the same encoder and weights, or first add vectors of this one "
                             f"with: {embedding(root, asked)}")
    require_same_encoder(store, spec)


def require_same_encoder(store: CorpusStore, spec: EncoderSpec | None) -> None:
    """Raise :class:`CorpusMismatch` if the corpus has another encoder of the same key, or of the same projection."""
    if spec is None:
        return
    held = store.manifest().encoders
    if held.get(spec.key, spec) != spec:
        raise CorpusMismatch(f"{store.root}: its vectors {spec.key} were made by {held[spec.key]}, this run has "
                             f"{spec}; use the program and the weights that made them")
    mine = (spec.version, spec.weights_sha256)  # precisions share the projection
    others = sorted(key for key, other in held.items()
                    if other.name == spec.name and (other.version, other.weights_sha256) != mine)
    if needs_projection(spec.name) and others:
        raise CorpusMismatch(f"{store.root}: its projection of {spec.name} was fitted with {others[0]}, this run has "
                             f"{spec.key}; use the weights it was fitted with, or name another corpus")
