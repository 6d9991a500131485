"""Measure whether the expected numbers of re-ranked hits hold.

    python -m benchmarks.bench_reranked_chance [--seeds 0 1] [--queries 200]

Corpora are made as `lookalike evaluate --part answers` makes them, of fewer emitters: 2,000 windows, a quarter of which
are clusters, and the kin of one query. The best 200 windows are re-ranked as `lookalike search --rerank` does, and
judged by their cosine and by their re-ranked score.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.report import heading, table
from pipeline.encoders import load_encoder
from pipeline.evaluate.answers import CLUSTERED_SHARE, KIN, POPULATIONS, SNR, figures
from pipeline.evaluate.sets import HELD_OUT
from pipeline.grid.cutouts import quantise
from pipeline.search.correlate import correlate, fused
from pipeline.search.reorder import MIN_REORDERED_HITS
from pipeline.search.reranked import reranked_scores
from pipeline.search.unrelated import unrelated_cutouts
from pipeline.significance import (
    MAX_CONVINCING_EXPECTED,
    MAX_CONVINCING_Q,
    Null,
    Tail,
    false_shares,
    null_of,
    unrelated_vectors,
)
from pipeline.simulate import FINE, Pattern, Signal, member, simulate_power

WINDOWS, SINGLES, EMITTERS, SEEN = 2000, 1000, 20, 60


@dataclass
class Windows:
    """Cutouts and vectors of some windows."""

    cutouts: NDArray[np.uint8]
    vectors: NDArray[np.float32]

    def rows(self, rows: NDArray[np.int64]) -> Windows:
        """Return some of them."""
        return Windows(self.cutouts[rows], self.vectors[rows])


def simulate(seed: int) -> tuple[Windows, list[Windows], list[str]]:
    """Return windows that are each of another emitter; and windows of emitters, with the population of each."""
    rng, encoder = np.random.default_rng([HELD_OUT, seed, 21]), load_encoder("spectral")

    def seen(emitters: Sequence[Signal | Pattern]) -> Windows:
        parts = [quantise(simulate_power(rng, [member(rng, one, SNR) for one in emitters[i : i + 500]]), FINE.sigma)
                 for i in range(0, len(emitters), 500)]
        cutouts = np.concatenate(parts)
        return Windows(cutouts, encoder.encode(cutouts))

    single, of_emitters, names = [], [], []
    for name, draw in POPULATIONS.items():
        if name != "catalogue and unseen":
            single.append(seen([draw(rng, i) for i in range(SINGLES)]))
        of_emitters += [seen([draw(rng, i)] * SEEN) for i in range(EMITTERS)]
        names += [name] * EMITTERS
    return joined(single), of_emitters, names


def joined(parts: Sequence[Windows]) -> Windows:
    """Return all windows together."""
    return Windows(np.concatenate([one.cutouts for one in parts]), np.concatenate([one.vectors for one in parts]))


def search(rng: np.random.Generator, single: Windows, emitters: Sequence[Windows], own: int) -> list[dict[str, float]]:
    """Search one corpus; return what is found by cosine and by re-ranked score."""
    shuffled = rng.permutation(SEEN)
    kin = emitters[own].rows(shuffled[1 : 1 + rng.choice(KIN)])
    clusters = joined([emitters[i].rows(rng.permutation(SEEN)[: rng.integers(5, SEEN + 1)])
                       for i in rng.permutation(np.delete(np.arange(len(emitters)), own))[:25]])
    count = round(CLUSTERED_SHARE * WINDOWS)
    alone = single.rows(rng.permutation(len(single.vectors))[: WINDOWS - count])
    corpus = joined([clusters.rows(np.arange(count)), alone, kin])
    is_kin = np.arange(len(corpus.vectors)) >= WINDOWS
    query, pattern = emitters[own].vectors[shuffled[0]], emitters[own].cutouts[shuffled[0]]
    unrelated = unrelated_vectors(load_encoder("spectral").spec.key)
    cosines, simulated = corpus.vectors @ query, unrelated @ query
    best = np.argsort(-cosines)[:MIN_REORDERED_HITS]
    null = null_of(simulated, cosines)
    tail = Tail.of(reranked_scores(pattern[None], simulated[:, None], unrelated_cutouts()))
    reranked = fused(cosines[best], correlate(pattern, corpus.cutouts[best]).correlation)
    return [judged(null, cosines[best], is_kin, best), judged(Null(tail, null.excess), reranked, is_kin, best)]


def judged(null: Null, scores: NDArray[np.floating], is_kin: NDArray[np.bool_], best: NDArray[np.int64]
           ) -> dict[str, float]:
    """Compare what is expected with the truth."""
    expected, kin = np.array([len(is_kin) * null.share(float(one))[0] for one in scores]), is_kin[best]
    q = np.array(false_shares(expected.tolist()))
    convincing, found = (q <= MAX_CONVINCING_Q) & (expected <= MAX_CONVINCING_EXPECTED), q <= 0.1
    return {"windows": len(is_kin), "kin": float(is_kin.sum()), "at_one": float((~kin & (expected <= 1)).sum()),
            "at_tenth": float((~kin & (expected <= 0.1)).sum()), "right": float((kin & convincing).sum()),
            "wrong": float((~kin & convincing).sum()), "false": float((~kin & found).sum() / max(1, found.sum())),
            "decoys": np.nan}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1])
    parser.add_argument("--queries", type=int, default=200)
    options = parser.parse_args()
    heading("Unrelated hits among those that are re-ranked", "numpy", "scipy")
    rows = []
    for seed in options.seeds:
        single, emitters, names = simulate(seed)
        rng, outcomes = np.random.default_rng([HELD_OUT, seed, 22]), []
        for i in range(options.queries):
            of_kind = [k for k, name in enumerate(names) if name == list(POPULATIONS)[i % len(POPULATIONS)]]
            outcomes.append(search(rng, single, emitters, int(rng.choice(of_kind))))
        for name, some in zip(("score", "reranked"), zip(*outcomes, strict=True), strict=True):
            rows.append((f"{name}, seed {seed}", *summed(name, some)))
    table(("expected of", "queries", "at 1", "at 0.1", "found", "kin", "pure", "quiet", "false"), rows)


def summed(name: str, outcomes: Sequence[Mapping[str, float]]) -> list[str]:
    """Return the figures of some searches as cells."""
    of = figures(name, outcomes)
    return [str(of.queries), f"{of.at_one:.2f}", *(f"{one:.2f}" for one in (of.at_tenth, of.found, of.kin, of.pure,
                                                                           of.quiet, of.false))]


if __name__ == "__main__":
    main()
