"""Measure searches of routed segments: their recall, the share of vectors they look at, and their time.

    python -m benchmarks.bench_cells [--size 100000] [--segment 10000] [--queries 500] [--folder DIR]

One corpus of heavy-tailed vectors is indexed twice: as plain segments, all of which a search asks, and as one routed
segment. Segments have only --segment vectors, so that a small corpus has as many of them as a large one. Cells are
half that size. Queries are new vectors, one after the other, in one thread. Recall is by distance: an answer counts
if it is no farther away than the true tenth neighbour.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

# one thread; libraries read these variables when they are loaded
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"))

import numpy as np

from benchmarks.bench_index import K, truth
from benchmarks.peers import Vectors
from benchmarks.report import heading, table
from benchmarks.synthetic import Synthetic
from pipeline.config import IndexConfig
from pipeline.execute.engine import SerialEngine
from pipeline.run.index import index_corpus
from pipeline.search.cells import routes_of
from pipeline.search.nearest import nearest
from pipeline.search.selection import Selection
from pipeline.search.snapshot import OpenCorpus
from tests.index.heavy_tailed import recall_by_distance

FETCHED = (K, 50)
"""Numbers of windows that are asked for: the ten nearest, and the 50 that a search for ten hits fetches."""


def opened(corpus: Synthetic) -> OpenCorpus:
    """Open the corpus as it is indexed now."""
    return OpenCorpus(corpus.root, corpus.store.manifest())


def selected(held: OpenCorpus, encoder_key: str) -> Selection:
    """Select all vectors of an encoder."""
    return Selection.of(held, encoder_key, frozenset(entry.resolution for entry in held.manifest.sources.values()))


def asked_share(where: Selection, query: Vectors, k: int, careful: bool) -> tuple[int, float]:
    """Return the number of segments and cells that a query is sent to, and the share of vectors in them."""
    routes = routes_of(where, query, k, careful=careful)
    chosen = [entry for entry in where.segments if not entry.routed_id or entry.id in routes]
    return len(chosen), sum(entry.count for entry in chosen) / where.vector_count


def measured(name: str, corpus: Synthetic, queries: Vectors, exact: Vectors) -> Iterator[Sequence[object]]:
    """Yield the rows of the table for one kind of index."""
    held = opened(corpus)
    for k in FETCHED:
        for careful in (False, True):
            where = selected(held, corpus.spec.key)
            for query in queries[:50]:
                nearest(where, query[None], k, careful=careful)  # loads and opens everything
            taken, found, shares = [], [], []
            for query in queries:
                began = time.perf_counter()
                best = nearest(where, query[None], k, careful=careful)
                taken.append(1e3 * (time.perf_counter() - began))
                found.append(best.score[:K])
                shares.append(asked_share(where, query[None], k, careful))
            asked, share = np.mean(shares, axis=0)
            yield (f"{name}{', careful' if careful else ''}, {k} fetched", len(where.segments), f"{asked:.1f}",
                   f"{share:.1%}", f"{recall_by_distance(np.array(found), exact):.4f}",
                   f"{np.quantile(taken, 0.5):.2f}", f"{np.quantile(taken, 0.95):.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=100_000, help="vectors")
    parser.add_argument("--segment", type=int, help="vectors a segment; default: a tenth of them")
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--folder", type=Path, help="where the corpus is made; default: a temporary folder")
    options = parser.parse_args()
    segment = options.segment or options.size // 10
    rows: list[Sequence[object]] = []
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        corpus = Synthetic(Path(scratch) / "corpus", options.size, sources=40, held_out=options.queries)
        exact = truth(corpus.vectors, corpus.queries)
        for name, routed_from in (("segments", options.size + 1), ("routed", 1)):
            limits = IndexConfig(exact_below=1, segment_vectors=segment, routed_from=routed_from)
            began = time.process_time()
            index_corpus(SerialEngine(), corpus.store, limits)
            built_s = time.process_time() - began
            rows += [(*row, f"{built_s:,.0f}") for row in measured(name, corpus, corpus.queries, exact)]
    heading(f"Cells: {options.size:,} vectors, segments of {segment:,}, new queries", "pynndescent", "numpy")
    table(("", "segments or cells", "asked", "vectors in them", f"recall@{K}", "p50, ms", "p95, ms",
           "processor time to build, s"), rows)


if __name__ == "__main__":
    main()
