"""Measure what routing by k-means cells would find: a query asks only the segments of its nearest cells.

    python -m tests.benchmarks.bench_cells [--count 100000] [--cells 20] [--queries 500]

A study for corpora of 10^8 vectors and more; the index has no cells. Heavy-tailed vectors are spread over cells, each
into its nearest or its two nearest; within the cells asked the search is exact, so what is missed is missed by routing
alone. Recall is by distance: an answer counts if it is no farther than the true tenth neighbour.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.bench_index import K, prepared, truth
from tests.benchmarks.peers import Vectors
from tests.benchmarks.report import heading, table
from tests.index.heavy_tailed import recall_by_distance

ASKED = (1, 2, 3, 4, 6)
COPIES = (1, 2)
"""Cells that hold a vector."""
SAMPLE = 256
"""Vectors a cell that k-means looks at."""


def centres_of(vectors: Vectors, cells: int) -> Vectors:
    """Return unit centres (cells, d), by k-means of a sample."""
    from sklearn.cluster import KMeans

    sample = np.random.default_rng(0).choice(len(vectors), min(len(vectors), SAMPLE * cells), replace=False)
    found = KMeans(cells, n_init=1, random_state=0).fit(vectors[sample]).cluster_centers_
    unit: Vectors = (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)
    return unit


def nearest_cells(vectors: Vectors, centres: Vectors, count: int) -> NDArray[np.int64]:
    """Return the ``count`` cells (n, count) nearest to each vector, best first."""
    return np.argsort(-(vectors @ centres.T), axis=1, kind="stable")[:, :count]


def found_scores(vectors: Vectors, queries: Vectors, held: NDArray[np.int64], asked: NDArray[np.int64]
                 ) -> tuple[NDArray[np.float32], float]:
    """Return the cosines (q, K) of the best vectors in the cells asked, and the share of vectors looked at."""
    scores = np.full((len(queries), K), -1, np.float32)
    looked_at = 0
    for i, cells in enumerate(asked):
        there = np.isin(held, cells)
        looked_at += int(there.sum())
        found = vectors[there.any(axis=1)] @ queries[i]
        best = -np.sort(-found)[:K]
        scores[i, : len(best)] = best
    return scores, looked_at / len(queries) / len(vectors)


def measured(vectors: Vectors, queries: Vectors, cells: int) -> Iterator[Sequence[object]]:
    """Rows of the table."""
    exact, centres = truth(vectors, queries), centres_of(vectors, cells)
    for copies in COPIES:
        held = nearest_cells(vectors, centres, copies)
        largest = np.bincount(held.ravel(), minlength=cells).max() / len(vectors)
        for count in ASKED:
            scores, share = found_scores(vectors, queries, held, nearest_cells(queries, centres, count))
            yield (copies, f"{largest:.1%}", f"{count} of {cells}", f"{share:.1%}",
                   f"{recall_by_distance(scores, exact):.4f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000)
    parser.add_argument("--cells", type=int, default=20)
    parser.add_argument("--queries", type=int, default=500)
    options = parser.parse_args()
    drawn = prepared(options.count + options.queries, 128, seed=1)
    vectors = drawn[: options.count]
    for kind, queries in (("new", drawn[options.count :]), ("stored", drawn[: options.queries])):
        heading(f"Cells: {options.count:,} vectors, {kind} queries", "scikit-learn", "numpy")
        table(("cells a vector is in", "largest cell", "cells asked", "vectors looked at", f"recall@{K}"),
              measured(vectors, queries, options.cells))


if __name__ == "__main__":
    main()
