"""Scores and vectors of chosen windows of a corpus, such as those around a hit. Nothing else is compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.search.nearest import Nearest, score_vectors, to_unit_length
from pipeline.search.selection import Selection


def score_windows(
    selection: Selection, source: int, numbers: NDArray[np.int64], vectors: NDArray[np.float32]
) -> Nearest:
    """Score some windows of one source as :func:`pipeline.search.nearest.nearest` would.

    Windows that are not stored, or that the filters reject, are left out.

    Parameters
    ----------
    selection : Selection
    source : int
        Index in the selection's ``source_ids``.
    numbers : (n,) int64
        Distinct window numbers, stored or not.
    vectors : (q, d) float32
        Query vectors.
    """
    return score_windows_of(selection, {source: numbers}, vectors)


def score_windows_of(
    selection: Selection, numbers: Mapping[int, NDArray[np.int64]], vectors: NDArray[np.float32]
) -> Nearest:
    """Do what :func:`score_windows` does, for windows of several sources at once.

    Parameters
    ----------
    numbers : mapping
        Index of a source in the selection's ``source_ids`` → distinct window numbers.
    """
    kept, stored = [], []
    for source, some in numbers.items():
        source_id = selection.source_ids[source]
        held, of_held = vectors_of_windows(selection, source_id, some[selection.passes(source_id, some)])
        kept.append((np.full(len(held), source), held))
        stored.append(of_held)
    if not kept:
        return Nearest.none()
    sources, held = (np.concatenate(arrays) for arrays in zip(*kept, strict=True))
    return score_vectors(sources, held, np.concatenate(stored), vectors, len(held))


def stored_between(
    selection: Selection, source_id: str, spans: Sequence[tuple[int, int]]
) -> set[int]:
    """Return the numbers of the stored windows of a source in some spans of numbers, each [first, stop)."""
    corpus = selection.corpus
    if source_id in selection.segment_of:
        stored = corpus.rows_in_segment(selection.segment_of[source_id], source_id)[0]
    else:
        stored = corpus.ascending_numbers(source_id)
    first, stop = np.searchsorted(stored, np.array(spans, np.int64).reshape(-1, 2).T).tolist()
    return {number for a, b in zip(first, stop, strict=True) for number in stored[a:b].tolist()}


def vectors_of_windows(
    selection: Selection, source_id: str, numbers: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return those of some windows (n,) of a source that are stored, and their unit vectors (n, d).

    The vectors are read from a segment if possible.
    """
    corpus = selection.corpus
    if source_id in selection.segment_of:
        segment_id = selection.segment_of[source_id]
        stored_numbers, rows = corpus.rows_in_segment(segment_id, source_id)
        at = np.minimum(np.searchsorted(stored_numbers, numbers), len(stored_numbers) - 1)
        is_stored = stored_numbers[at] == numbers
        return numbers[is_stored], corpus.segment(segment_id).vectors_of(rows[at[is_stored]])
    rows = corpus.rows(source_id, numbers)
    numbers, rows = numbers[rows >= 0], rows[rows >= 0]
    return numbers, to_unit_length(corpus.vectors_of(source_id, selection.encoder_key, rows), source_id)
