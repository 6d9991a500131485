"""The nearest stored windows of each of many vectors, one list for each."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from pipeline.index import exact_neighbors
from pipeline.search.cells import queries_for, routes_of
from pipeline.search.nearest import BEST_SCORE_BATCH, stored_vectors
from pipeline.search.selection import Selection


def nearest_of_each(
    selection: Selection, vectors: NDArray[np.float32], k: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Find the ``k`` windows of a selection that resemble each vector most. The index is followed where there is one.

    Parameters
    ----------
    selection : Selection
    vectors : (n, d) float32
        Vectors of length 1.
    k : int

    Returns
    -------
    source, number, score : (n, k) int64, int64 and float32
        Index in the selection's ``source_ids``, window number and cosine, best first; −1, −1 and −inf where there are
        fewer than ``k``.
    """
    source = np.full((len(vectors), k), -1, np.int64)
    number, score = source.copy(), np.full((len(vectors), k), -np.inf, np.float32)
    for first in range(0, len(vectors), BEST_SCORE_BATCH):
        batch = vectors[first : first + BEST_SCORE_BATCH]
        here = slice(first, first + len(batch))
        lists = [(source[here], number[here], score[here]), *_lists(selection, batch, k)]
        joined = [np.concatenate(column, axis=1) for column in zip(*lists, strict=True)]
        order = np.argsort(-joined[2], axis=1, kind="stable")[:, :k]
        source[here], number[here], score[here] = (np.take_along_axis(column, order, axis=1) for column in joined)
    return source, number, score


def _lists(
    selection: Selection, batch: NDArray[np.float32], k: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]]:
    """Yield what each segment, and the sources in no segment, hold that is near each vector: three arrays (n, k)."""
    routes = routes_of(selection, batch, k)
    for entry in selection.segments:
        chosen = queries_for(entry, routes, 0, len(batch))
        if len(chosen):
            positions, among = selection.rows_of_segment(entry)
            found = selection.corpus.segment(entry.id).search(batch[chosen], k, among=among)
            source, number = np.full((len(batch), k), -1, np.int64), np.full((len(batch), k), -1, np.int64)
            score = np.full((len(batch), k), -np.inf, np.float32)
            source[chosen] = np.where(found.row_source < 0, -1, positions[found.row_source])
            number[chosen], score[chosen] = found.row_number, found.score
            yield source, number, score
    if selection.unindexed:
        rows = [(np.full(len(some), selection.position[source_id]), selection.corpus.numbers(source_id)[some], vectors)
                for source_id in selection.unindexed
                for some, vectors in stored_vectors(selection, source_id, selection.rows_of_source(source_id))]
        if rows:
            sources, numbers = (np.concatenate([row[i] for row in rows]) for i in (0, 1))
            at, score = exact_neighbors((row[2] for row in rows), batch, k, unit_length=True)
            yield np.where(at < 0, -1, sources[at]), np.where(at < 0, -1, numbers[at]), score
