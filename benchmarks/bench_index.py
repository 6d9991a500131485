"""Measure the index against hnswlib, faiss and scikit-learn: same vectors, same run, one thread.

    python -m benchmarks.bench_index [--sizes 100000 1000000] [--dimension 128] [--queries 500] [--folder DIR]

Vectors are heavy-tailed, like those of real interference: dense clusters, near-duplicates, isolated points. Recall is
by distance: an answer counts if it is no farther away than the true tenth neighbour. Seconds are processor time.
With one thread, this equals the time on an idle machine. The program prints the time to build each index, its queries
per second at each recall, a comparison of all indexes at equal recall, the effect of copied vectors, and the time from
the start of a fresh process to its first answer.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

# one thread; libraries read these variables when they are loaded
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
os.environ.update(ONE_THREAD)

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from benchmarks.caches import drop_caches  # noqa: E402
from benchmarks.peers import HNSWLIB, INDEXES, LOADERS, OURS, Index, Ours, Vectors, present  # noqa: E402
from benchmarks.report import heading, table  # noqa: E402
from tests.index.heavy_tailed import heavy_tailed, recall_by_distance  # noqa: E402

K = 10
RECALLS = (0.97, 0.98, 0.99)
EXACT_ONE_BY_ONE = 50
"""Number of single queries that time an exact scan."""
COPIES = 10


@dataclass(frozen=True)
class Point:
    """Speed and recall of one index at one effort."""

    index: str
    effort: str
    recall: float
    one_by_one: float
    """Queries/s, with one call per query."""
    at_once: float
    """Queries/s, with all queries in one call."""


def prepared(count: int, dimension: int, seed: int) -> Vectors:
    """Return heavy-tailed vectors as the corpus stores them: rounded to float16, then scaled to length 1."""
    rounded = heavy_tailed(count, dimension, seed).astype(np.float16).astype(np.float32)
    unit: Vectors = rounded / np.linalg.norm(rounded, axis=1, keepdims=True)
    return unit


def scores_of(vectors: Vectors, queries: Vectors, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Cosine (q, k) of the rows found, descending; −1 for a missing one."""
    found = vectors[np.maximum(rows, 0)].astype(np.float64)
    scores = np.where(rows < 0, -1.0, np.einsum("qkd,qd->qk", found, queries.astype(np.float64)))
    return -np.sort(-scores.astype(np.float32), axis=1)


def truth(vectors: Vectors, queries: Vectors) -> NDArray[np.float32]:
    """Cosine (q, K) of the true neighbours, by brute force."""
    best = np.full((len(queries), K), -1, np.int64)
    scores = np.full((len(queries), K), -np.inf, np.float32)
    for start in range(0, len(vectors), 1 << 16):
        block = np.concatenate([scores, queries @ vectors[start : start + (1 << 16)].T], axis=1)
        kept = np.argpartition(-block, K - 1, axis=1)[:, :K]
        best = np.where(kept < K, np.take_along_axis(best, np.minimum(kept, K - 1), axis=1), kept - K + start)
        scores = np.take_along_axis(block, kept, axis=1)
    return scores_of(vectors, queries, best)


def built(names: Sequence[str], vectors: Vectors, folder: Path) -> tuple[dict[str, Index], list[Sequence[object]]]:
    """Build each index; return them, and the rows of the table."""
    began = time.process_time()
    with tempfile.TemporaryDirectory() as scratch:  # compiles what a build needs
        Ours(prepared(min(5000, len(vectors)), vectors.shape[1], 7), Path(scratch))
    rows: list[Sequence[object]] = [("ours, compiling (a first build, of at most 5,000)",
                                     f"{time.process_time() - began:.1f}", "", "")]
    indexes = {}
    for name in names:
        make, _ = INDEXES[name]
        began = time.process_time()
        indexes[name] = make(vectors, folder)
        if indexes[name].is_exact and name.startswith(OURS):
            continue  # nothing was built
        beyond = indexes[name].bytes_beyond_vectors / len(vectors)
        rows.append((name, f"{time.process_time() - began:.1f}", f"{beyond:,.0f}",
                     f"{4 * vectors.shape[1] + beyond:,.0f}"))
    return indexes, rows


def curve(name: str, index: Index, vectors: Vectors, queries: Vectors, exact: NDArray[np.float32]) -> list[Point]:
    """Measure all efforts of an index."""
    few = queries[:EXACT_ONE_BY_ONE] if index.is_exact else queries
    points = []
    for effort, value in index.efforts.items():
        index.search(queries[:10], K, value)  # loads everything
        found = index.search(queries, K, value)
        at_once, one_by_one = [], []
        for _ in range(3):
            began = time.process_time()
            index.search(queries, K, value)
            at_once.append(len(queries) / (time.process_time() - began))
            began = time.process_time()
            for query in few:
                index.search(query[None], K, value)
            one_by_one.append(len(few) / (time.process_time() - began))
        recall = recall_by_distance(scores_of(vectors, queries, found), exact)
        points.append(Point(name, effort, recall, statistics.median(one_by_one), statistics.median(at_once)))
    return points


def at_recall(points: Iterable[Point], recall: float, how: str) -> float | None:
    """Return queries/s at a recall, interpolated between two efforts on a logarithmic scale; None if not reached.

    If the least effort has a higher recall than asked for, its queries/s are returned.
    """
    best: list[tuple[float, float]] = []
    for point in sorted(points, key=lambda point: (-point.recall, -getattr(point, how))):
        if not best or getattr(point, how) > best[-1][1]:  # else another effort has more of both
            best.append((point.recall, getattr(point, how)))
    best.reverse()
    if not best or best[-1][0] < recall:
        return None
    return float(np.exp(np.interp(recall, [at for at, _ in best], [np.log(speed) for _, speed in best])))


def compared(points: Sequence[Point], how: str) -> list[list[str]]:
    """Return rows of recall, queries/s of each approximate index, and the ratio of ours to hnswlib."""
    names = list(dict.fromkeys(point.index for point in points))
    rows = []
    for recall in RECALLS:
        speeds = {name: at_recall([p for p in points if p.index == name], recall, how) for name in names}
        ours, theirs = speeds.get(OURS), speeds.get(HNSWLIB)
        ratio = f"{ours / theirs:.2f}" if ours and theirs else "–"
        rows.append([f"{recall:.2f}", *(f"{speed:,.0f}" if speed else "not reached" for speed in speeds.values()),
                     ratio])
    return rows


def copied(names: Sequence[str], distinct: Vectors, queries: Vectors, folder: Path) -> list[Sequence[object]]:
    """Return rows of the recall of each approximate index if each vector occurs ten times, in random order."""
    vectors = distinct[np.random.default_rng(5).permutation(np.repeat(np.arange(len(distinct)), COPIES))]
    exact = truth(vectors, queries)
    rows: list[Sequence[object]] = []
    for name in names:
        index = INDEXES[name][0](vectors, folder)
        for effort, value in index.efforts.items():
            recall = recall_by_distance(scores_of(vectors, queries, index.search(queries, K, value)), exact)
            rows.append((name, effort, f"{recall:.4f}"))
    return rows


def loaded(indexes: Mapping[str, Index], queries: Vectors, folder: Path) -> list[Sequence[object]]:
    """Return rows of the seconds a fresh process takes to import, load and answer, with cold and warm files."""
    np.save(folder / "queries.npy", queries[:1])
    rows: list[Sequence[object]] = []
    for name, code in LOADERS.items():
        index = indexes.get(OURS if name.startswith(OURS) else name)
        if index is None:
            continue
        for state in ("cold", "warm"):
            if state == "cold" and (problem := drop_caches()):
                rows.append((name, f"cold: not measured ({problem})", "", "", ""))
                continue
            times = [float(text) for text in _fresh(code, index.file, folder / "queries.npy").split()]
            rows.append((name, state, *(f"{seconds:.2f}" for seconds in times), f"{sum(times):.2f}"))
    return rows


def _fresh(code: tuple[str, str, str], path: Path, queries: Path) -> str:
    module, load, search = code
    program = (f"import sys, pathlib, time, numpy; queries = numpy.load({str(queries)!r}); path = {str(path)!r}\n"
               f"times = [time.perf_counter()]\nimport {module}\ntimes.append(time.perf_counter())\n{load}\n"
               f"times.append(time.perf_counter())\n{search}\ntimes.append(time.perf_counter())\n"
               "print(*numpy.diff(times))")
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


def measure(count: int, dimension: int, n_queries: int, wanted: Sequence[str], folder: Path) -> None:
    """Print all tables of one size."""
    names, absent = present(wanted)
    approximate = [name for name in names if name != "ours, exact" and not name.startswith(("faiss flat", "scikit"))]
    drawn = prepared(count + n_queries, dimension, seed=1)
    vectors = drawn[:count]
    heading(f"Index: {count:,} × {dimension}", "pynndescent", "hnswlib", "faiss-cpu", "scikit-learn", "numpy")
    for name, reason in absent.items():
        print(f"{name} is absent: {reason}.\n")
    indexes, rows = built(names, vectors, folder)
    table(("built by one thread", "CPU s", "bytes a vector beyond the vectors", "bytes a vector in all"), rows)
    for kind, queries in (("new", drawn[count:]), ("stored", drawn[:n_queries])):
        exact = truth(vectors, queries)
        points = [point for name in names for point in curve(name, indexes[name], vectors, queries, exact)]
        print()
        table((f"{kind} queries", "effort", f"recall@{K}", "queries/s, a call each",
               f"queries/s, {n_queries} in one call"),
              [(p.index, p.effort, f"{p.recall:.4f}", f"{p.one_by_one:,.0f}", f"{p.at_once:,.0f}") for p in points])
        graphs = [point for point in points if point.index in approximate]
        for how, words in (("one_by_one", "a call each"), ("at_once", "all in one call")):
            print()
            table((f"queries/s at equal recall, {kind} queries, {words}", *approximate, "ours / hnswlib"),
                  compared(graphs, how))
    print()
    table((f"{count // COPIES:,} vectors {COPIES} times each", "effort", f"recall@{K}"),
          copied(approximate, vectors[: count // COPIES], drawn[count:], _folder(folder, "copied")))
    print()
    table(("fresh process", "files", "import, s", "load, s", "first answer, s", "in all, s"),
          loaded(indexes, drawn[count:], folder))


def _folder(parent: Path, name: str) -> Path:
    (parent / name).mkdir()
    return parent / name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100_000])
    parser.add_argument("--dimension", type=int, default=128)
    parser.add_argument("--queries", type=int, default=500)
    parser.add_argument("--indexes", nargs="*", default=[], help=f"beside ours; default: all of {', '.join(INDEXES)}")
    parser.add_argument("--folder", type=Path, help="where indexes are saved; default: a temporary folder")
    options = parser.parse_args()
    for count in options.sizes:
        with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
            measure(count, options.dimension, options.queries, options.indexes, Path(scratch))


if __name__ == "__main__":
    main()
