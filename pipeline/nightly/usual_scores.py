"""How much windows usually resemble their nearest window of another night."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.search import OpenCorpus, Selection, best_scores

SAMPLE_WINDOWS = 2000
"""Number of earlier windows in the sample."""
MAX_SAMPLED_NIGHTS = 16
"""Maximum number of nights from which the sample is drawn. For each of them, the other nights are searched."""


@dataclass(frozen=True, slots=True)
class UsualScores:
    """How well earlier windows resemble their nearest window of another night."""

    scores: NDArray[np.float32]
    """(m,) best scores of a sample, ascending."""
    of_other: str
    """``nights``; or ``sources`` where all windows are of one night."""

    def p_value(self, scores: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return, for each of the scores (n,), the share of earlier windows whose best score is at most as high.

        It is (1 + number in the sample) / (1 + m).
        """
        p: NDArray[np.float64] = (1 + np.searchsorted(self.scores, scores, side="right")) / (1 + len(self.scores))
        return p

    def threshold(self, share: float) -> float | None:
        """Return the score below which p is at most ``share``; None where the sample is too small to tell."""
        rank = int(np.floor(share * (1 + len(self.scores)) + 1e-9)) - 1
        return float(self.scores[rank]) if rank >= 0 else None


def measure_usual_scores(corpus: OpenCorpus, key: str, source_ids: Sequence[str]) -> UsualScores | None:
    """Draw a sample of earlier windows and find the best score of each with windows of other nights.

    A night is a UTC day of observation. Tonight's windows are compared only with windows of other nights, so the
    sample must be, too. Where all windows are of one night, other sources stand for other nights.

    Parameters
    ----------
    key : str
        Encoder whose vectors are compared.
    source_ids : sequence of str
        Earlier sources, which have vectors of the encoder.

    Returns
    -------
    UsualScores, or None where there is only one source
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
    count = min(MAX_SAMPLED_NIGHTS, int((weights > 0).sum()))
    chosen = rng.choice(names, count, replace=False, p=weights / weights.sum())
    scores = []
    for night in chosen:
        sample = _draw_vectors(corpus, key, nights[str(night)], -(-SAMPLE_WINDOWS // count), rng)
        others = Selection.of_sources(corpus, key, [i for i in source_ids if night_of[i] != night])
        scores.append(best_scores(others, sample))
    return UsualScores(np.sort(np.concatenate(scores)), of_other)


def _draw_vectors(
    corpus: OpenCorpus, key: str, source_ids: Sequence[str], most: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Draw at most ``most`` vectors (n, d) of some sources. All windows are equally likely."""
    ends = np.cumsum([corpus.manifest.sources[i].vectors[key] for i in source_ids])
    rows = np.sort(rng.choice(ends[-1], min(most, int(ends[-1])), replace=False))
    of_source = np.searchsorted(ends, rows, side="right")
    return np.concatenate([
        corpus.vectors_of(source_ids[i], key, rows[of_source == i] - (ends[i - 1] if i else 0))
        for i in np.unique(of_source)])
