"""The corpus at the beginning of a run: made or opened, its identity compared, in order after whatever came before."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from pipeline.config import CONFIG_FILE, Config, EncoderConfig
from pipeline.durable import write_atomic
from pipeline.encoders import needs_projection, require_precision, settled_precision
from pipeline.errors import ConfigError, CorpusMismatch, CorpusNotFound
from pipeline.model import EncoderSpec
from pipeline.run.ingest import file_entry
from pipeline.store import CorpusStore, Manifest, corpus_encoder, is_fitted

logger = logging.getLogger(__name__)


def settled(encoder: EncoderConfig) -> EncoderConfig:
    """Return an encoder with its precision settled: what is fastest here, where it says ``auto``."""
    return replace(encoder, precision=settled_precision(encoder.name, encoder.precision))


def require_ingestable(root: Path, config: Config) -> bool:
    """Tell whether there is a corpus.

    Raises
    ------
    CorpusMismatch
        It holds other windows, or has another encoder.
    ConfigError
        There is none, and something else is in its place.
    """
    try:
        store = CorpusStore.open(root)
    except CorpusNotFound:
        CorpusStore.refuse_foreign(root)
        return False
    store.require_identity(config.identity())
    _require_own_name(root, config.encoder)
    return True


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
    """Write ``corpus.toml``. [index] stays as the file had it, if it was there: flags are for one run."""
    try:
        root.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError, FileNotFoundError) as error:
        raise ConfigError(f"{root}: cannot be a folder ({error.strerror}); name another one for the corpus") from error
    own = Config.of_corpus(root)
    write_atomic(root / CONFIG_FILE, replace(config, index=own.index).to_toml().encode())


def manifest_if_any(root: Path) -> Manifest:
    """Read the manifest of the corpus, an empty one where there is no corpus yet."""
    try:
        return CorpusStore.open(root).manifest()
    except CorpusNotFound:
        return Manifest()


def spec_of(
    root: Path, encoder: EncoderConfig, config: Config, *, computes_here: bool = False
) -> EncoderSpec | None:
    """Load an encoder and return its spec; None where it cannot be known before its projection is fitted.

    Raises
    ------
    EncoderError
        It cannot be had; or this machine is to compute it (``computes_here``), and does not in its precision.
    """
    if computes_here:
        require_precision(encoder.name, encoder.precision)
    loaded = corpus_encoder(root, encoder, config.scan.grid)
    return loaded.spec if is_fitted(root, encoder.name) else None


def put_in_order(store: CorpusStore) -> None:
    """Clear away what dead runs left and what has left the corpus, drop what is gone, adopt what was committed."""
    store.clean_staging()
    store.clean_retired()
    if gone := store.forget_missing():
        logger.warning("%d sources without their folders are dropped, ingest them anew: %s", len(gone), gone[0])
    adopt_committed(store)


def adopt_committed(store: CorpusStore) -> None:
    """Put into the manifest what was committed but, as its run died, is not in it."""
    recovered = store.recover()
    if not recovered.sources and not recovered.vectors:
        return

    def change(manifest: Manifest) -> Manifest:
        manifest = manifest.with_sources((group.source, group.report) for group in recovered.sources)
        manifest = manifest.with_files({
            group.source.path: file_entry(group.report, (group.source.size_bytes, group.source.mtime_ns), manifest)
            for group in recovered.sources})
        for spec in dict.fromkeys(vectors.spec for vectors in recovered.vectors):
            manifest = manifest.with_vectors_of(spec, {vectors.source_id: vectors.count for vectors in recovered.vectors
                                                       if vectors.spec == spec})
        return manifest

    store.publish(change)
    logger.info("adopted windows of %d sources and %d groups of vectors that an interrupted run had committed",
                len(recovered.sources), len(recovered.vectors))


def _require_own_name(root: Path, asked: EncoderConfig) -> None:
    """Raise :class:`CorpusMismatch` unless an ingest asks for the corpus' own encoder, in its own precision."""
    own = Config.of_corpus(root).encoder
    add = f"then add vectors with: lookalike embed --corpus {root} --encoder {asked.name}"
    if asked.name != own.name:
        raise CorpusMismatch(f"{root}: its encoder is {own.name}, this run asks for {asked.name}; ingest without "
                             f"--encoder, {add}")
    precision, own_precision = settled(asked).precision, settled(own).precision
    if precision != own_precision:
        raise CorpusMismatch(f"{root}: its encoder {own.name} computes in {own_precision}, this run asks for "
                             f"{precision}; ingest without --precision, {add} --precision {precision}")


def require_own_encoder(store: CorpusStore, asked: EncoderConfig, spec: EncoderSpec | None) -> None:
    """Raise :class:`CorpusMismatch` unless an ingest asks for the corpus' own encoder, as it is there."""
    root, held = store.root, store.manifest().encoders
    _require_own_name(root, asked)
    if spec is not None and held and spec.key not in held:
        raise CorpusMismatch(f"{root}: its vectors were made by {', '.join(sorted(held))}, this run asks for "
                             f"{spec.key}; ask for the same encoder and weights, or first add vectors of this one "
                             f"with: lookalike embed --corpus {root} --encoder {asked.name}")
    require_same_encoder(store, spec)


def require_same_encoder(store: CorpusStore, spec: EncoderSpec | None) -> None:
    """Raise :class:`CorpusMismatch` where the corpus knows another encoder by this one's key, or by its projection."""
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
