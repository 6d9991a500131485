"""Which encoder's vectors a search compares."""

from __future__ import annotations

from collections import Counter

from pipeline.catalogue import Manifest
from pipeline.config import EncoderConfig
from pipeline.errors import QueryError
from pipeline.search.snapshot import OpenCorpus


def vectors_held(manifest: Manifest, encoder_key: str) -> Counter[str]:
    """Count the vectors of an encoder: resolution class → vectors, those without any left out."""
    counts: Counter[str] = Counter()
    for entry in manifest.sources.values():
        counts[entry.resolution] += entry.vectors.get(encoder_key, 0)
    return +counts


def encoder_key(corpus: OpenCorpus, asked: str | None) -> str:
    """Return the key of the encoder asked for by name or key; by default that of ``corpus.toml``.

    Of several of the name, that which ingests make: of the weights and the precision of ``corpus.toml``.

    Raises
    ------
    QueryError
        The corpus holds nothing, or no vectors of it; or of several of the name, of which not just one is that of
        ``corpus.toml``.
    """
    manifest, config = corpus.manifest, corpus.config.encoder
    wanted = asked or config.name
    held = {key: spec for key, spec in manifest.encoders.items() if vectors_held(manifest, key)}
    keys = [key for key, spec in held.items() if wanted in (key, spec.name)]
    if not manifest.sources:
        raise QueryError(f"{corpus.root}: holds no sources; " + (
            "all were removed: take some back with lookalike remove --undo SOURCE" if manifest.removed else
            f"take some in with lookalike ingest DATA --corpus {corpus.root}"))
    if not keys:
        raise QueryError(f"{corpus.root}: has no vectors of encoder {wanted}, but of "
                         f"{', '.join(sorted(held)) or 'no encoder'}; {_how_to_make(corpus, wanted)}")
    # vectors of weights or a precision that somebody tries out never take the place of those that an ingest makes
    own = [key for key in keys if config == EncoderConfig(held[key].name, manifest.weights.get(key, ""),
                                                          held[key].precision)]
    if asked is not None and len(keys) > 1 and len(own) != 1:
        raise QueryError(f"{corpus.root}: has vectors of several encoders named {wanted}; give the key of one: "
                         f"{', '.join(sorted(keys))}")
    # of the versions of one encoder, the one with most vectors; of equals, the newest
    return max(reversed(own or keys), key=lambda key: vectors_held(manifest, key).total())


def _how_to_make(corpus: OpenCorpus, wanted: str) -> str:
    """Say how vectors are made: of the encoder wanted, or, where there is no such encoder, of those that there are."""
    from pipeline.encoders import ENCODERS  # loads scipy, which a search need not wait for

    if wanted in ENCODERS:
        return f"make some with: lookalike embed --encoder {wanted} --corpus {corpus.root}"
    return (f"{wanted} is the name of none; vectors of {', '.join(ENCODERS)} can be made with: lookalike embed "
            f"--encoder NAME --corpus {corpus.root}")
