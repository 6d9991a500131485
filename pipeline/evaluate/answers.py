"""Whether the figures of hits hold: what is expected by chance, and what comes, in simulated corpora.

The emitters of a corpus were used for nothing else. An *emitter* is a pattern with fixed parameters that is seen in
several windows, with other strengths, phases and noise. A query is one window of an emitter; its kin are the others.
Most windows of a corpus are each of another emitter. The others are clusters: emitters that are seen many times.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.evaluate.labelled_scores import LabelledWindows
from pipeline.evaluate.retrieval import Encode
from pipeline.evaluate.sets import HELD_OUT
from pipeline.grid.cutouts import quantise
from pipeline.significance import (
    MAX_CONVINCING_EXPECTED,
    MAX_CONVINCING_Q,
    background_of_scores,
    false_shares,
)
from pipeline.simulate import (
    FAMILIES,
    FINE,
    NOISE,
    UNSEEN,
    Pattern,
    Signal,
    member,
    mixed_signal,
    random_pattern,
    random_signal,
    simulate_power,
)

SNR = (6.0, 60.0)
"""Range of the SNR per bin of all windows."""
KIN = (0, 1, 5, 15, 40)
"""Numbers of kin; each corpus has one of them."""
CLUSTERED_SHARE = 0.25
"""Share of the windows of a corpus that belong to emitters seen many times."""
MIN_KIN, SHOWN_Q = 5, 0.1
"""Number of kin from which a query should find some; q at which the share of false hits is measured."""
_SEEN, _MAX_LOOKED_AT, _AT_ONCE = 60, 400, 500

Draw = Callable[[np.random.Generator, int], Signal | Pattern]
_NAMED = (*FAMILIES.values(), *UNSEEN.values())
POPULATIONS: Mapping[str, Draw] = {
    "trained kinds": lambda rng, i: random_signal(rng),
    "mixed kinds": lambda rng, i: mixed_signal(rng, "mixed"),
    "interference": lambda rng, i: random_pattern(rng, is_varied=True),
    "catalogue and unseen": lambda rng, i: _NAMED[i % len(_NAMED)],
}
"""Population → draws an emitter from random numbers and its index. The last one has no single windows."""


@dataclass(frozen=True, slots=True)
class Sight:
    """Vectors of simulated windows."""

    single: NDArray[np.float32]
    """(n, d) windows that are each of another emitter."""
    seen: NDArray[np.float32]
    """(e, 60, d) windows of each emitter."""
    decoys: NDArray[np.float32]
    """(e, 2, d) the first window of each emitter with its spectra shuffled, and with its channels mirrored."""
    population: NDArray[np.str_]
    """(e,) population of each emitter."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What was realised over some searches."""

    name: str
    windows: float
    """Mean number of windows of a corpus."""
    queries: int
    at_one: float
    """Mean number of unrelated hits where 1 is expected."""
    at_tenth: float
    """The same where 0.1 is expected."""
    found: float
    """Share of the queries with at least five kin that have a convincing hit."""
    kin: float
    """Median share of their kin that are convincing."""
    pure: float
    """Share of all convincing hits that are kin."""
    quiet: float
    """Share of the queries without kin that have no convincing hit."""
    false: float
    """Mean share of unrelated hits among those with q of at most 0.1."""
    decoys: float
    """Mean number of hits of decoys where 1 is expected; kin are no hits of a decoy."""


def simulate_sight(encode: Encode, singles: int, emitters: int, *, seed: int = 0) -> Sight:
    """Simulate and encode windows of all populations.

    Parameters
    ----------
    singles, emitters : int
        Windows that are each of another emitter, and emitters that are seen many times, of each population.
    """
    rng = np.random.default_rng([HELD_OUT, seed, 21])
    single, seen, decoys, population = [], [], [], []
    for name, draw in POPULATIONS.items():
        if name != "catalogue and unseen":
            single.append(encode(_cutouts(rng, [draw(rng, i) for i in range(singles)])))
        for i in range(emitters):
            cutouts = _cutouts(rng, [draw(rng, i)] * _SEEN)
            seen.append(encode(cutouts))
            decoys.append(encode(np.stack([cutouts[0][rng.permutation(len(cutouts[0]))], cutouts[0][:, ::-1]])))
            population.append(name)
    return Sight(np.concatenate(single), np.stack(seen), np.stack(decoys), np.array(population, np.str_))


def _cutouts(rng: np.random.Generator, emitters: Sequence[Signal | Pattern]) -> NDArray[np.uint8]:
    signals = [member(rng, one, SNR) for one in emitters]
    return np.concatenate([quantise(simulate_power(rng, signals[i : i + _AT_ONCE]), FINE.sigma)
                           for i in range(0, len(signals), _AT_ONCE)])


def evaluate_answers(
    sight: Sight, unrelated: NDArray[np.float32], windows: int, corpora: int, *, seed: int = 0
) -> list[Figures]:
    """Search simulated corpora, one query in each, and compare what is expected with what comes.

    Parameters
    ----------
    unrelated : (n, d) float32
        Vectors of unrelated signals that belong to the encoder.
    windows : int
        Windows of a corpus, without the kin of the query.

    Returns
    -------
    list of Figures
        For all populations together, then for each.
    """
    rng, outcomes, names = np.random.default_rng([HELD_OUT, seed, 22]), [], []
    for i in range(corpora):
        emitter = int(rng.permutation(np.flatnonzero(sight.population == list(POPULATIONS)[i % len(POPULATIONS)]))[0])
        chosen = rng.permutation(sight.seen[emitter])
        query, kin = chosen[0], chosen[1 : 1 + rng.choice(KIN)]
        others = np.concatenate([_clusters(rng, sight, emitter, round(CLUSTERED_SHARE * windows)),
                                 rng.permutation(sight.single)[: round((1 - CLUSTERED_SHARE) * windows)]])
        vectors = np.concatenate([others, kin])
        is_kin = np.arange(len(vectors)) >= len(others)
        decoy = min(sight.decoys[emitter], key=lambda one: float(one @ sight.seen[emitter, 0]))
        outcomes.append(outcome(vectors @ query, is_kin, unrelated @ query, vectors @ decoy, unrelated @ decoy))
        names.append(str(sight.population[emitter]))
    every = [figures("all", outcomes)]
    return every + [figures(name, [one for one, own in zip(outcomes, names, strict=True) if own == name])
                    for name in POPULATIONS]


def _clusters(rng: np.random.Generator, sight: Sight, emitter: int, count: int) -> NDArray[np.float32]:
    """Draw windows (count, d) of other emitters, of which each is seen from 5 to 60 times."""
    drawn: list[NDArray[np.float32]] = []
    for other in rng.permutation(np.delete(np.arange(len(sight.seen)), emitter)):
        drawn.append(rng.permutation(sight.seen[other])[: rng.integers(5, _SEEN + 1)])
        if sum(map(len, drawn)) >= count:
            break
    return np.concatenate(drawn)[:count]


def evaluate_labelled_answers(
    vectors: NDArray[np.float32], windows: LabelledWindows, unrelated: NDArray[np.float32]
) -> Figures:
    """Search for each labelled window among the others. Windows with the same label are kin."""
    outcomes, labels = [], windows.labels
    for i in np.flatnonzero(labels != NOISE).tolist():
        others = np.arange(len(labels)) != i
        scores = (vectors @ vectors[i])[others]
        outcomes.append(outcome(scores, (labels == labels[i])[others], unrelated @ vectors[i], scores[:0], scores[:0]))
    return figures("labelled windows", outcomes)


def outcome(
    scores: NDArray[np.float32], is_kin: NDArray[np.bool_], unrelated: NDArray[np.float32],
    decoys: NDArray[np.float32], decoys_unrelated: NDArray[np.float32],
) -> dict[str, float]:
    """Judge one search as the program does, and compare with the truth.

    Parameters
    ----------
    scores : (n,) float32
        Scores of the query with the windows of the corpus.
    is_kin : (n,) bool
    unrelated : (m,) float32
        Scores with simulated signals.
    decoys, decoys_unrelated : (n,) and (m,) float32
        The same scores of a decoy; maybe none.
    """
    best = np.argsort(-scores, kind="stable")[:_MAX_LOOKED_AT]
    expected, kin = _expected(scores, unrelated, best), is_kin[best]
    q = np.array(false_shares(expected.tolist()))
    convincing = (q <= MAX_CONVINCING_Q) & (expected <= MAX_CONVINCING_EXPECTED)
    found = q <= SHOWN_Q
    return {
        "windows": float(len(scores)), "kin": float(is_kin.sum()),
        "at_one": float((~kin & (expected <= 1)).sum()), "at_tenth": float((~kin & (expected <= 0.1)).sum()),
        "right": float((kin & convincing).sum()), "wrong": float((~kin & convincing).sum()),
        "false": float((~kin & found).sum()) / max(1, int(found.sum())),
        "decoys": float((_expected(decoys[~is_kin], decoys_unrelated, np.argsort(-decoys[~is_kin])[:_MAX_LOOKED_AT])
                         <= 1).sum()) if len(decoys) else np.nan,
    }


def _expected(
    scores: NDArray[np.float32], unrelated: NDArray[np.float32], best: NDArray[np.int64]
) -> NDArray[np.float64]:
    background = background_of_scores(len(scores), [unrelated], [scores])
    return np.array([chance.expected for score in scores[best] if (chance := background.chance_of(float(score)))])


def figures(name: str, outcomes: Sequence[Mapping[str, float]]) -> Figures:
    """Sum up the outcomes of some searches."""
    column = {key: np.array([one[key] for one in outcomes]) for key in outcomes[0]}
    kin, right, wrong = column["kin"], column["right"], column["wrong"]
    many, none = kin >= MIN_KIN, kin == 0
    return Figures(
        name, float(column["windows"].mean()), len(outcomes), float(column["at_one"].mean()),
        float(column["at_tenth"].mean()), _mean(right[many] > 0),
        float(np.median(right[many] / kin[many])) if many.any() else np.nan,
        float(right.sum() / max(1, (right + wrong).sum())), _mean(wrong[none] == 0), float(column["false"].mean()),
        float(column["decoys"].mean()))


def _mean(is_true: NDArray[np.bool_]) -> float:
    return float(is_true.mean()) if len(is_true) else float("nan")
