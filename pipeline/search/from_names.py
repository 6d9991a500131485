"""Queries of several windows of the corpus, and of vectors. A hit resembles any of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import QueryError
from pipeline.search.description import QueryDescription
from pipeline.search.draft import Draft
from pipeline.search.from_file import draft_of_window
from pipeline.search.query import Query
from pipeline.search.snapshot import OpenCorpus

MAX_NAMED_WINDOWS = 4096
"""Maximum number of windows or vectors of one query."""


def draft_of_windows(corpus: OpenCorpus, encoder_key: str, names: Sequence[str]) -> Draft:
    """Make a query of several windows of the corpus.

    Parameters
    ----------
    names : sequence of str
        Windows as ``SOURCE/NUMBER``.

    Raises
    ------
    QueryError
        There are none or too many, one is not there, or they have several resolutions.
    """
    if not 0 < len(names) <= MAX_NAMED_WINDOWS:
        raise QueryError(f"give from 1 to {MAX_NAMED_WINDOWS:,} windows, got {len(names):,}")
    drafts = [draft_of_window(corpus, encoder_key, name) for name in dict.fromkeys(names)]
    queries = [draft.query for draft in drafts]
    resolutions = sorted({query.resolution for query in queries})
    if len(resolutions) > 1:
        raise QueryError(f"the windows have several resolutions, {', '.join(resolutions)}: search for those of one")
    places = [(i, k) for i, query in enumerate(queries) for k in range(len(query.vectors))]
    first = np.cumsum([0, *(len(query.vectors) for query in queries[:-1])])
    notes = dict.fromkeys(query.description.note for query in queries)

    def power_of(which: int) -> NDArray[np.float64]:
        i, k = places[which]
        return queries[i].power_of(k)

    return Draft(replace(
        queries[0],
        vectors=np.concatenate([query.vectors for query in queries]),
        cutouts=np.concatenate([query.cutouts for query in queries]),
        positions=np.concatenate([query.positions for query in queries]),
        windows=tuple(window for query in queries for window in query.windows),
        power_of=power_of,
        regions=tuple(region for query in queries for region in query.regions),
        description=QueryDescription(kind="windows", names=tuple(names), windows=len(places)).with_notes(*notes),
    ), np.concatenate([draft.lacking + start for draft, start in zip(drafts, first.tolist(), strict=True)]))


def draft_of_vectors(corpus: OpenCorpus, encoder_key: str, vectors: Any) -> Draft:
    """Make a query of vectors of an encoder.

    Parameters
    ----------
    vectors : (d,) or (n, d) array
        Vectors of any length but zero.

    Raises
    ------
    QueryError
        They are no such vectors, or of another number of components than the encoder's.
    """
    given = np.atleast_2d(np.asarray(vectors))
    spec, grid = corpus.manifest.encoders[encoder_key], corpus.config.scan.grid
    if given.ndim != 2 or given.dtype.kind not in "iuf" or given.shape[1] != spec.dimension or not len(given):
        raise QueryError(f"a vector of {encoder_key} has {spec.dimension} numbers, got an array of {given.dtype} and "
                         f"shape {np.shape(vectors)}")
    if len(given) > MAX_NAMED_WINDOWS:
        raise QueryError(f"give at most {MAX_NAMED_WINDOWS:,} vectors, got {len(given):,}")
    wide = given.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    if not (np.isfinite(lengths) & (lengths > 0)).all():
        raise QueryError("a vector is zero or not finite, so it has no direction to compare")
    shape = len(given), grid.integrations, grid.channels
    return Draft(Query(
        vectors=(wide / lengths).astype(np.float32),
        cutouts=np.zeros(shape, np.uint8),
        positions=np.zeros((len(given), 2), np.int64),
        windows=(),
        power_of=lambda i: np.full(shape[1:], np.nan),
        regions=(),
        resolution="",
        description=QueryDescription(kind="vector", shape=given.shape, windows=len(given)),
    ), np.arange(0))
