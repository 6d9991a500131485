"""Queries whose windows are chosen, and the encoding of all windows of several queries at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import QueryError
from pipeline.search.query import Query, embed, find_seen
from pipeline.search.snapshot import OpenCorpus


@dataclass(frozen=True, slots=True)
class Draft:
    """A query before its windows are encoded."""

    query: Query
    """Its vectors are zero where they are lacking."""
    lacking: NDArray[np.int64]
    """Indices of the windows without a vector."""


def encoded(corpus: OpenCorpus, encoder_key: str, drafts: Sequence[Draft]) -> list[Query | QueryError]:
    """Encode what drafts lack, all together. Windows in which the encoder sees nothing are left out.

    Returns
    -------
    list of Query or QueryError
        One for each draft; the error where the encoder sees nothing in any window.

    Raises
    ------
    EncoderError
        The encoder here is not the one that made the corpus.
    """
    lacking = [draft.query.cutouts[draft.lacking] for draft in drafts if len(draft.lacking)]
    made, note = embed(corpus, encoder_key, np.concatenate(lacking)) if lacking else (np.empty((0, 0)), "")
    queries: list[Query | QueryError] = []
    first = 0
    for draft in drafts:
        query, stop = draft.query, first + len(draft.lacking)
        if first < stop:
            vectors = query.vectors.copy()
            vectors[draft.lacking] = made[first:stop]
            query = replace(query, vectors=vectors, description=query.description.with_notes(note))
        first = stop
        try:
            queries.append(query.only(find_seen(corpus, encoder_key, query.vectors)))
        except QueryError as error:
            queries.append(error)
    return queries


def encoded_alone(corpus: OpenCorpus, encoder_key: str, draft: Draft) -> Query:
    """Encode what one draft lacks; raise :class:`QueryError` if the encoder sees nothing in any of its windows."""
    query = encoded(corpus, encoder_key, [draft])[0]
    if isinstance(query, QueryError):
        raise query
    return query
