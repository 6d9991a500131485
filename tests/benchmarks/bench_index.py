"""Measure the index on 100,000 heavy-tailed vectors of 256 numbers; print a Markdown table."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy: the scan, too, gets one thread
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # tests is no installed package

import numpy as np  # noqa: E402
from numpy.typing import NDArray  # noqa: E402

from pipeline.index import CAREFUL_EPSILON, DEFAULT_EPSILON, Segment, build_segment  # noqa: E402
from tests.index.heavy_tailed import heavy_tailed, recall_by_distance  # noqa: E402

COUNT, DIMENSION, QUERIES, K = 100_000, 256, 500, 10
COLD = """
import sys, time
began = time.perf_counter()
from pathlib import Path
import numpy as np
from pipeline.index import Segment
segment = Segment.open(Path(sys.argv[1]))
segment.search(np.load(sys.argv[2])[:1], 10, exact=sys.argv[3] == "exact")
print(time.perf_counter() - began)
"""


def main() -> None:
    drawn = heavy_tailed(COUNT + QUERIES, DIMENSION, seed=1)
    vectors = drawn[:COUNT]
    queries = {"new": drawn[COUNT:], "stored": drawn[:QUERIES]}
    with tempfile.TemporaryDirectory() as scratch:
        rows = list(measure(Path(scratch), vectors, queries))
    print(f"| index, {COUNT:,} × {DIMENSION}, {os.cpu_count()} cores | |\n|---|---|")
    print("\n".join(f"| {name} | {value} |" for name, value in rows))


def measure(
    scratch: Path, vectors: NDArray[np.float32], queries: dict[str, NDArray[np.float32]]
) -> list[tuple[str, str]]:
    first_s, segment = build(scratch / "first", vectors)
    second_s, _ = build(scratch / "second", vectors)
    beside = sum(path.stat().st_size for path in segment.folder.iterdir() if path.name != "vectors.npy")
    rows = [
        ("build, first of the process (with compilation)", f"{first_s:.1f} s"),
        ("build, later ones", f"{second_s:.1f} s"),
        ("bytes a vector beside the vectors (16 of them say whose it is)", f"{beside / COUNT:.0f}"),
    ]
    exact, exact_s = {}, 0.0
    for kind, asked in queries.items():
        began = time.perf_counter()
        exact[kind] = segment.search(asked, K, exact=True).score
        exact_s += time.perf_counter() - began
    for mode, epsilon in (("default", DEFAULT_EPSILON), ("careful", CAREFUL_EPSILON)):
        segment.search(queries["new"][:10], K, epsilon=epsilon)
        for kind, asked in queries.items():
            began = time.perf_counter()
            found = segment.search(asked, K, epsilon=epsilon).score
            took = time.perf_counter() - began
            recall = recall_by_distance(found, exact[kind])
            rows.append((f"graph, {mode}, {kind} queries: recall@{K} by distance, queries/s",
                         f"{recall:.4f}, {QUERIES / took:,.0f}"))
    began = time.perf_counter()
    for query in queries["new"][:50]:
        segment.search(query[None], K, exact=True)
    one_by_one_s = time.perf_counter() - began
    rows += [
        ("scan, queries/s one by one", f"{50 / one_by_one_s:,.0f}"),
        (f"scan, queries/s in batches of {QUERIES}", f"{2 * QUERIES / exact_s:,.0f}"),
    ]
    np.save(scratch / "queries.npy", queries["new"])
    for mode in ("graph", "exact"):
        rows.append((f"fresh process: open and first query, {mode}", f"{cold(segment, scratch, mode):.2f} s"))
    return rows


def build(folder: Path, vectors: NDArray[np.float32]) -> tuple[float, Segment]:
    began = time.perf_counter()
    segment = build_segment(folder, vectors, np.zeros(COUNT, dtype=int), np.arange(COUNT), ["source"])
    return time.perf_counter() - began, segment


def cold(segment: Segment, scratch: Path, mode: str) -> float:
    command = [sys.executable, "-c", COLD, str(segment.folder), str(scratch / "queries.npy"), mode]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
                          check=True)
    return float(done.stdout)


if __name__ == "__main__":
    main()
