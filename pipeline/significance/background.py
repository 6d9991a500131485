"""The background of a search: what its query scores with windows that have nothing to do with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.significance.null import Null, null_of

BIN = 0.02
"""Width of a bin of the histogram, in score."""
EDGES = tuple(round(-1 + BIN * i, 2) for i in range(101))
"""Edges of the bins."""


@dataclass(frozen=True, slots=True)
class Chance:
    """How many unrelated windows of what was searched score as well as a hit."""

    expected: float
    low: float
    """Lower end of the interval of 95 %. It covers the fit of the tail, not how well the simulated signals represent
    those of the archive."""
    high: float
    extrapolated: bool
    """True if fewer than one of the simulated signals is expected to score so well."""


@dataclass(frozen=True, slots=True)
class Background:
    """Scores of a query with sampled windows of the corpus, and with unrelated simulated signals."""

    searched: int
    """Number of windows that were searched."""
    sampled: int = 0
    """Number of windows of the corpus in the histogram."""
    unrelated: int = 0
    """Number of simulated signals."""
    counts: tuple[int, ...] = ()
    """Sampled windows by score, in bins between :data:`EDGES`."""
    unrelated_counts: tuple[int, ...] = ()
    """Simulated signals by score."""
    nulls: tuple[Null, ...] = ()
    """One null for the query; or, where the arrangement of its windows counts, one for each of them."""
    reranked: Null | None = None
    """The null of re-ranked scores, where hits have their figures from these; it takes the place of ``nulls``."""
    reason: str = ""
    """Why nothing can be said about chance; empty if it can."""

    @property
    def edges(self) -> tuple[float, ...]:
        """Edges of the bins of the histograms, in score."""
        return EDGES

    def chance_of(self, score: float) -> Chance | None:
        """Return how many unrelated windows score at least so well; None if ``reason`` says why not.

        ``score`` is a re-ranked score if ``reranked`` is given.
        """
        return None if self.reason else self._chance((self.reranked or self.nulls[0]).share(score))

    def chance_of_arranged(self, cosines: Mapping[int, float]) -> Chance | None:
        """Return how many places match at least half of the windows of a pattern so well by chance.

        Of q windows, let t be the share of unrelated windows that match as well as the one in the middle of the places'
        matches, best first. At least k = q/2 windows match so well. The expected number of such places is at most the
        number of windows searched × t × q/k, whether or not the matches depend on each other (Markov's inequality).

        Parameters
        ----------
        cosines : mapping
            Index of a window of the pattern → cosine of the window that matches it. Others match nothing.
        """
        if self.reason:
            return None
        count = len(self.nulls)
        needed = -(-count // 2)
        shares = sorted(self.nulls[i].share(cosine) for i, cosine in cosines.items())
        if len(shares) < needed:
            return Chance(float(self.searched), float(self.searched), float(self.searched), False)
        share, low, high = (min(1.0, one * count / needed) for one in shares[needed - 1])
        return self._chance((share, low, high))

    def _chance(self, shares: tuple[float, float, float]) -> Chance:
        share, low, high = (self.searched * one for one in shares)
        return Chance(share, low, high, shares[0] * self.unrelated < 1)

    def to_json(self) -> dict[str, Any]:
        """Return the histograms as plain values, of which column hits have figures, or why they have none."""
        return {"reason": self.reason, "expected_of": "reranked" if self.reranked else "score",
                "sampled": self.sampled, "unrelated": self.unrelated, "edges": list(EDGES),
                "counts": list(self.counts), "unrelated_counts": list(self.unrelated_counts)}


def background_of_scores(
    searched: int, unrelated: Sequence[NDArray[np.float32]], corpus: Sequence[NDArray[np.float32]]
) -> Background:
    """Make the background of a search.

    Parameters
    ----------
    searched : int
        Number of windows that were searched.
    unrelated : sequence of (n,) float32
        Scores of the query with simulated signals; where the arrangement of its windows counts, of each window.
    corpus : sequence of (m,) float32
        The same for windows of the corpus.
    """
    best_unrelated, best = (some[0] if len(some) == 1 else np.max(some, axis=0) for some in (unrelated, corpus))
    return Background(
        searched, len(best), len(best_unrelated), _histogram(best), _histogram(best_unrelated),
        tuple(null_of(some, others) for some, others in zip(unrelated, corpus, strict=True)))


def _histogram(scores: NDArray[np.float32]) -> tuple[int, ...]:
    bins = np.clip((scores + 1) / BIN, 0, len(EDGES) - 2).astype(np.int64)  # none is negative: this rounds down
    return tuple(np.bincount(bins, minlength=len(EDGES) - 1).tolist())
