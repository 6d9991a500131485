"""Finds places that show a pattern larger than a window: several of its windows, arranged as in the pattern.

The nearest windows of each window of the pattern vote for places: a source, and a shift in time and frequency. At the
best places, all windows of the pattern are compared with the stored windows where the shift puts them
(:mod:`pipeline.search.arrangement`). So a place is found if one of its windows is among the nearest ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from pipeline.grid.places import Places
from pipeline.index import exact_neighbors
from pipeline.search.arrangement import Positions, Votes, arrangement_at, ranked_shifts
from pipeline.search.best_hits import Wants, place_of
from pipeline.search.chosen_windows import vectors_of_windows
from pipeline.search.copies import Copies
from pipeline.search.limits import HitLimits
from pipeline.search.merge import Candidate, Merged
from pipeline.search.nearest import Finder, nearest
from pipeline.search.query import Query
from pipeline.search.selection import Selection

MAX_ARRANGED_WINDOWS = 64
"""Maximum number of windows of a pattern whose arrangement counts. For each, the corpus is searched once."""
MIN_VOTES, VOTES_PER_HIT = 200, 20
"""Number of nearest windows of each window of the pattern: the minimum, and those for each requested hit."""
MIN_PLACES, PLACES_PER_HIT = 200, 10
"""Number of places that are compared at once: the minimum, and those for each requested hit."""


def with_arrangement(query: Query) -> Query:
    """Say in the description of a query that the arrangement of its windows counts, or why it does not.

    Several windows or vectors that were named one by one have no arrangement.
    """
    count, description = len(query.vectors), query.description
    if description.kind in ("windows", "vector"):
        return query
    if count > MAX_ARRANGED_WINDOWS:
        return replace(query, description=description.with_notes(
            f"the pattern has {count:,} windows; each is searched for by itself, because there are more than "
            f"{MAX_ARRANGED_WINDOWS}"))
    return replace(query, description=replace(description, arranged=count > 1))


def arranged_hits(
    selection: Selection, query: Query, k: int, *, exact: bool = False, careful: bool = False,
    limits: HitLimits | None = None, find: Finder = nearest, wants: Wants | None = None,
) -> list[Merged]:
    """Return the ``k`` places where the windows of a query are matched best, or all if there are fewer.

    The score of a place is the mean over all windows of the query of the best cosine where the window is expected; 0
    where the corpus has no window that resembles it. A hit names its best window; the others are merged into it.

    Parameters
    ----------
    selection, query, k, exact, careful, limits, find, wants
        See :func:`pipeline.search.best_hits.best_hits`.

    Returns
    -------
    list of Merged
        By descending score.
    """
    limits = limits or HitLimits()
    shape = selection.corpus.config.scan.grid
    votes = _votes(selection, query, max(MIN_VOTES, VOTES_PER_HIT * k), find, exact=exact, careful=careful)
    places = _Places(selection, query)
    left = iter(zip(*(part.tolist() for part in ranked_shifts(votes, (shape.integrations, shape.channels))),
                    strict=True))
    while True:
        more = list(islice(left, max(MIN_PLACES, PLACES_PER_HIT * k)))
        for source, shift in more:
            places.add(source, np.array(shift))
        picked, _, _ = limits.pick(places.distinct(), k, place_of, wants)
        if len(picked) == k or not more:
            return picked


def _votes(
    selection: Selection, query: Query, count: int, find: Finder, *, exact: bool, careful: bool
) -> Votes:
    """Find the windows nearest to each window of a query, and the shifts that they vote for."""
    sources, shifts, queries, scores = [], [], [], []
    for i, position in enumerate(query.positions):
        found = find(selection, query.vectors[i : i + 1], min(count, selection.vector_count), exact=exact,
                     careful=careful)
        where = np.empty((len(found.source), 2), np.int64)
        for source in np.unique(found.source):
            here = found.source == source
            where[here] = _positions(selection, int(source), found.number[here])
        sources.append(found.source)
        shifts.append(where - position)
        queries.append(np.full(len(found.source), i))
        scores.append(found.score)
    return Votes(np.concatenate(sources), np.concatenate(shifts), np.concatenate(queries), np.concatenate(scores))


def _positions(selection: Selection, source: int, numbers: NDArray[np.int64]) -> Positions:
    """Return where windows of a source begin."""
    places = Places.of(selection.corpus.tiling(selection.source_ids[source]), numbers)
    return np.column_stack([places.spectrum, places.channel])


@dataclass(slots=True)
class _Places:
    """Places that were compared, and the windows that were matched there."""

    selection: Selection
    query: Query
    copies: Copies = field(init=False)
    known: dict[tuple[str, int], Candidate] = field(default_factory=dict)
    hits: list[Merged] = field(default_factory=list)
    stored: dict[int, tuple[NDArray[np.int64], Positions]] = field(default_factory=dict)
    """Index of a source → numbers and positions of its stored windows."""

    def __post_init__(self) -> None:
        self.copies = Copies(self.selection.corpus, self.query)

    def add(self, source: int, shift: Positions) -> None:
        """Compare the query with the stored windows of a source at a shift. A place without a match is left out."""
        source_id, query = self.selection.source_ids[source], self.query
        numbers, similarity = _similarities(self.selection, source, self._near(source, shift), query.vectors)
        found = _positions(self.selection, source, numbers)
        shape = self.selection.corpus.config.scan.grid
        made = arrangement_at(shift, query.positions, found, similarity, (shape.integrations, shape.channels))
        matched = np.flatnonzero(made.matches >= 0)
        if not len(matched):
            return
        best = int(matched[similarity[matched, made.matches[matched]].argmax()])
        for i in matched.tolist():
            number = int(numbers[made.matches[i]])
            window = self.selection.corpus.window(source_id, number)
            self.known[source_id, number] = Candidate(made.score, window, i)
        name = int(numbers[made.matches[best]])
        others = sorted({int(numbers[made.matches[i]]) for i in matched.tolist()} - {name})
        cosines = tuple((i, float(similarity[i, made.matches[i]])) for i in matched.tolist())
        self.hits.append(Merged(Candidate(made.score, self.selection.corpus.window(source_id, name), best),
                                tuple(others), cosines=cosines))

    def _near(self, source: int, shift: Positions) -> NDArray[np.int64]:
        """Return the numbers of the stored windows near a shifted query that are not of the query itself."""
        source_id, corpus = self.selection.source_ids[source], self.selection.corpus
        if source not in self.stored:
            numbers = corpus.numbers(source_id)
            self.stored[source] = numbers, _positions(self.selection, source, numbers)
        numbers, positions = self.stored[source]
        grid, expected = corpus.config.scan.grid, self.query.positions + shift
        reach = np.array([grid.integrations, grid.channels])
        in_box = ((positions > expected.min(axis=0) - reach) & (positions < expected.max(axis=0) + reach)).all(axis=1)
        near = np.flatnonzero(in_box)
        is_near = (np.abs(positions[near, None] - expected) < reach).all(axis=2)
        return np.array([number for number in numbers[near[np.any(is_near, axis=1)]].tolist()
                         if not self.copies.is_of_query(corpus.window(source_id, number))], np.int64)

    def distinct(self) -> list[Merged]:
        """Return the places by descending score. Of places that share a window, or its pixels, the best one stays."""
        self.hits.sort(key=lambda hit: (-hit.best.score, hit.best.window.source_id, hit.best.window.number))
        return self.copies.join(list(self._without_shared()), self.known)

    def _without_shared(self) -> Iterator[Merged]:
        taken: set[tuple[str, int]] = set()
        for hit in self.hits:
            names = {(hit.best.window.source_id, number) for number in (hit.best.window.number, *hit.others)}
            if not names & taken:
                taken |= names
                yield hit


def _similarities(
    selection: Selection, source: int, numbers: NDArray[np.int64], vectors: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Compare all query vectors with some windows of one source: the cosine of each pair.

    Returns
    -------
    numbers : (n,) int64
        The windows that are stored and pass the filters.
    similarity : (q, n) float32
        Cosines.
    """
    source_id = selection.source_ids[source]
    numbers, stored = vectors_of_windows(selection, source_id, numbers[selection.passes(source_id, numbers)])
    similarity = np.zeros((len(vectors), len(numbers)), np.float32)
    if len(stored):
        rows, score = exact_neighbors(stored, vectors, len(stored), unit_length=True)
        np.put_along_axis(similarity, rows, score, axis=1)
    return numbers, similarity
