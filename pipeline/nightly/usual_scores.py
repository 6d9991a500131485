"""How like its nearest among some earlier windows a window is, and how like windows usually are to theirs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.index import exact_neighbors
from pipeline.search.cells import asked_of, routes_of
from pipeline.search.filters import Filters
from pipeline.search.scope import Scope
from pipeline.search.selection import Searched
from pipeline.search.snapshot import OpenCorpus

BATCH = 1024
"""Windows whose nearest are looked for at once."""
BLOCK = 4096
"""Vectors that are in no segment, read at once."""
SAMPLE = 2000
"""Earlier windows by which it is judged what is usual …"""
GROUPS = 16
"""… of so many nights, for each of which others are searched."""


class Earlier:
    """Vectors of some sources of one encoder and resolution."""

    def __init__(self, corpus: OpenCorpus, key: str, source_ids: Sequence[str]) -> None:
        wanted, sources = set(source_ids), corpus.manifest.sources
        chosen = [segment for segment in corpus.manifest.segments
                  if segment.encoder_key == key and not wanted.isdisjoint(segment.live_ids)]
        segments = tuple(piece for segment in chosen for piece in segment.pieces)
        indexed = {source_id for segment in chosen for source_id in segment.live_ids}
        self.corpus, self.key = corpus, key
        self.count = sum(sources[source_id].vectors[key] for source_id in source_ids)
        self._searched = Searched(corpus, Scope(
            key, frozenset(sources[source_id].resolution for source_id in source_ids), Filters(), tuple(source_ids),
            segments, tuple(source_id for source_id in source_ids if source_id not in indexed), self.count))

    def best(self, vectors: NDArray[np.float32], *, exact: bool = False) -> NDArray[np.float32]:
        """Return the best cosine of each vector (n, d) with any of these: (n,), −inf where there are none.

        By the index, which may miss the very best, unless ``exact``; what is in no segment is compared in any case.
        """
        out = np.full(len(vectors), -np.inf, np.float32)
        for first in range(0, len(vectors), BATCH):
            queries = vectors[first : first + BATCH]
            best = out[first : first + BATCH]  # a view
            routes = None if exact else routes_of(self._searched, queries, 1)
            for entry in self._searched.scope.segments:
                asked = asked_of(entry, routes, 0, len(queries))
                if len(asked):
                    _, among = self._searched.rows_of_segment(entry)
                    found = self.corpus.segment(entry.id).search(queries[asked], 1, exact=exact, among=among)
                    best[asked] = np.maximum(best[asked], found.score[:, 0])
            if self._searched.scope.unindexed:
                _, scores = exact_neighbors(self._unindexed(), queries, 1)
                np.maximum(best, scores[:, 0], out=best)
        return out

    @property
    def is_approximate(self) -> bool:
        """True where some are found by a graph, or in some cells only."""
        return any(entry.routed_id or self.corpus.segment(entry.id).has_graph
                   for entry in self._searched.scope.segments)

    def _unindexed(self) -> Iterator[NDArray[np.float32]]:
        for source_id in self._searched.scope.unindexed:
            group = self.corpus.vectors(source_id, self.key)
            for start in range(0, group.count, BLOCK):
                yield group.vectors(start, min(start + BLOCK, group.count))


@dataclass(frozen=True, slots=True)
class Usual:
    """How well earlier windows resemble their nearest of other nights."""

    scores: NDArray[np.float32]
    """(m,) best scores of a sample, ascending."""
    of_other: str
    """``nights``, or ``sources`` where there was but one night."""

    def p_value(self, scores: NDArray[np.float32]) -> NDArray[np.float64]:
        """Share of earlier windows, (1 + those in the sample) / (1 + m), that resemble their nearest no better."""
        p: NDArray[np.float64] = (1 + np.searchsorted(self.scores, scores, side="right")) / (1 + len(self.scores))
        return p

    def threshold(self, share: float) -> float | None:
        """Return the score below which p is at most ``share``; None where the sample is too small to say."""
        rank = int(np.floor(share * (1 + len(self.scores)) + 1e-9)) - 1
        return float(self.scores[rank]) if rank >= 0 else None


def usual(corpus: OpenCorpus, key: str, source_ids: Sequence[str]) -> Usual | None:
    """Take a sample of earlier windows and look for the nearest of each in other nights; None with but one source.

    A night is a UTC day of observation: tonight's windows meet only windows of other nights, so these must not meet
    those of their own either. Where all are of one night, other sources stand for other nights.
    """
    sources = corpus.manifest.sources
    night_of = {i: str(int(sources[i].header.tstart_mjd)) for i in source_ids}
    of_other = "nights"
    if len(set(night_of.values())) < 2:
        night_of, of_other = {i: i for i in source_ids}, "sources"
    nights: dict[str, list[str]] = {}
    for source_id in sorted(source_ids):
        nights.setdefault(night_of[source_id], []).append(source_id)
    if len(nights) < 2:
        return None
    rng, names = np.random.default_rng(0), sorted(nights)
    weights = np.array([sum(sources[i].vectors[key] for i in nights[name]) for name in names], np.float64)
    count = min(GROUPS, int((weights > 0).sum()))
    chosen = rng.choice(names, count, replace=False, p=weights / weights.sum())
    scores = []
    for night in chosen:
        mine = nights[str(night)]
        others = Earlier(corpus, key, [i for i in source_ids if night_of[i] != night])
        scores.append(others.best(_drawn(corpus, key, mine, -(-SAMPLE // count), rng)))
    return Usual(np.sort(np.concatenate(scores)), of_other)


def _drawn(
    corpus: OpenCorpus, key: str, source_ids: Sequence[str], most: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw vectors of some sources, all windows being equally likely."""
    ends = np.cumsum([corpus.manifest.sources[i].vectors[key] for i in source_ids])
    rows = np.sort(rng.choice(ends[-1], min(most, int(ends[-1])), replace=False))
    of_source = np.searchsorted(ends, rows, side="right")
    return np.concatenate([
        corpus.vectors_of(source_ids[i], key, rows[of_source == i] - (ends[i - 1] if i else 0))
        for i in np.unique(of_source)])
