"""What is added to hits that are found: nearness in frequency, labels, and what was not searched beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pipeline.model import Hit, Match
from pipeline.search.labelled import with_labels
from pipeline.search.merge import Merged
from pipeline.search.not_searched import note_on_query, with_not_searched
from pipeline.search.query import Query
from pipeline.search.request import SearchRequest
from pipeline.search.snapshot import OpenCorpus


def annotated(
    corpus: OpenCorpus, request: SearchRequest, query: Query, hits: Sequence[Hit],
    found: Sequence[tuple[Merged, Match | None]],
) -> tuple[tuple[Hit, ...], str]:
    """Add to hits what the corpus and the user know of their places.

    Parameters
    ----------
    hits, found : sequences of n
        Hits, and what they were made of.

    Returns
    -------
    hits
    note : str
        What the user should know, besides; an empty text for nothing.
    """
    if request.near_frequency:
        from pipeline.search.reorder import nearness_of  # loads scipy

        hits = [replace(hit, nearness=nearness_of(query, merged))
                for hit, (merged, _) in zip(hits, found, strict=True)]
    hits, note_on_labels = with_labels(corpus, hits)
    notes = (note_on_labels, note_on_query(corpus, query))
    return with_not_searched(corpus, hits), "; ".join(filter(None, notes))
