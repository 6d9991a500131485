"""Choice of the encoder whose vectors a search compares."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from pipeline.catalogue import Manifest
from pipeline.config import EncoderConfig
from pipeline.errors import QueryError
from pipeline.search.snapshot import OpenCorpus
from pipeline.store import embedding, encoder_config, pasted, undoing
from pipeline.support.text import counted
from pipeline.views import view_of


def count_vectors(manifest: Manifest, encoder_key: str, view: str | None = None) -> Counter[str]:
    """Count the vectors of an encoder per resolution class, of one view or of all. Classes without any are left out."""
    counts: Counter[str] = Counter()
    for source_id, entry in manifest.sources.items():
        if view is None or view_of(source_id) == view:
            counts[entry.resolution] += entry.vectors.get(encoder_key, 0)
    return +counts


def encoder_key(corpus: OpenCorpus, name: str | None) -> str:
    """Return the key of an encoder that has vectors in the corpus.

    Several encoders may share a name: they differ in version, weights or precision. Of these, the one that an ingest
    uses is chosen, with the weights and the precision of ``corpus.toml``.

    Parameters
    ----------
    name : str or None
        Name or key of the encoder; None for the one that ``corpus.toml`` names.

    Raises
    ------
    QueryError
        The corpus has no sources, no signals, or no vectors of this encoder. Or several encoders have the name, and
        ``corpus.toml`` does not single out one of them.
    """
    return corpus.keep_object(("encoder key", name), lambda: _encoder_key(corpus, name))


def _encoder_key(corpus: OpenCorpus, name: str | None) -> str:
    """Do what :func:`encoder_key` does. All sources are looked at, so the answer is kept."""
    manifest, config = corpus.manifest, corpus.config.encoder
    wanted = name or config.name
    present = {key: spec for key, spec in manifest.encoders.items() if count_vectors(manifest, key)}
    keys = [key for key, spec in present.items() if wanted in (key, spec.name)]
    if not manifest.sources:
        raise QueryError(f"{corpus.root}: holds no sources; " + (
            f"all were removed: take some back with {undoing(corpus.root)('SOURCE')}" if manifest.removed else
            f"take some in with {pasted('lookalike ingest DATA', corpus.root)}"))
    if not manifest.windows_kept:
        raise QueryError(f"{corpus.root}: holds no signal, so there is nothing to find: the gate kept none of "
                         f"{counted(manifest.windows_seen, 'window')} in {counted(len(manifest.sources), 'source')}; "
                         f"take more files in with {pasted('lookalike ingest DATA', corpus.root)}")
    if not keys:
        raise QueryError(f"{corpus.root}: has no vectors of encoder {wanted}, but of "
                         f"{', '.join(sorted(present)) or 'no encoder'}; {_how_to_make_vectors(corpus, wanted)}")
    # vectors made on trial, with other weights or another precision, never replace those of an ingest
    own = [key for key in keys if replace(config, version=config.version or present[key].version) ==
           encoder_config(present[key], manifest.weights.get(key, ""))]
    if name is not None and len(keys) > 1 and not own:
        raise QueryError(f"{corpus.root}: has vectors of several encoders named {wanted}; give the key of one: "
                         f"{', '.join(sorted(keys))}")
    # of several versions, choose the one with most vectors; of equal counts, the newest
    return max(reversed(own or keys), key=lambda key: count_vectors(manifest, key).total())


def _how_to_make_vectors(corpus: OpenCorpus, wanted: str) -> str:
    """Say how to make vectors of an encoder; or, if there is no such encoder, which encoders can make some."""
    from pipeline.encoders import ENCODERS  # loads scipy, which a search need not wait for

    if wanted in ENCODERS:
        own = corpus.config.encoder
        return f"make some with: {embedding(corpus.root, own if wanted == own.name else EncoderConfig(wanted))}"
    return (f"no encoder is named {wanted}; vectors of {', '.join(ENCODERS)} can be made with: "
            f"{pasted('lookalike embed --encoder NAME', corpus.root)}")
