"""Open a corpus in a fresh process, search it, and print the times as JSON. ``bench_search`` starts this program.

    python -m benchmarks.ask CORPUS THREADS EXACT SOURCE/NUMBER…
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

from pipeline.index import Neighbors, Segment
from pipeline.search import Corpus, open_corpus


def seconds_of(corpus: Corpus, window: str, exact: bool) -> float:
    began = time.perf_counter()
    if not corpus.search(window=window, exact=exact).hits:
        raise SystemExit(f"{window}: no hits")
    return time.perf_counter() - began


def timed_segments(taken: list[float]) -> None:
    """Append the seconds of each search of a segment to ``taken``."""
    search = Segment.search

    def timed(*arguments: Any, **named: Any) -> Neighbors:
        began = time.perf_counter()
        found = search(*arguments, **named)
        taken.append(time.perf_counter() - began)
        return found

    Segment.search = timed  # type: ignore[method-assign]


def peak_mb() -> float:
    """Return the peak memory of this process. ``getrusage`` would include the parent's on Linux."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024 / 1e6


def main() -> None:
    root, threads, exact, first, *windows = sys.argv[1:]
    began = time.perf_counter()
    corpus = open_corpus(root)
    opened_s = time.perf_counter() - began
    first_s = seconds_of(corpus, first, exact == "exact")
    for window in windows[: len(windows) // 5]:  # opens the sources, which then stay open
        seconds_of(corpus, window, exact == "exact")
    asked = windows[len(windows) // 5 :]
    of_segments: list[float] = []
    timed_segments(of_segments)
    began = time.perf_counter()
    with ThreadPoolExecutor(int(threads)) as pool:
        taken = list(pool.map(lambda window: seconds_of(corpus, window, exact == "exact"), asked))
    elapsed_s = time.perf_counter() - began
    print(json.dumps({"opened_s": opened_s, "first_s": first_s, "taken_s": sorted(taken),
                      "segment_s": median(of_segments) if of_segments else 0.0,
                      "per_s": len(asked) / elapsed_s if asked else 0.0,
                      "peak_mb": peak_mb()}))


if __name__ == "__main__":
    main()
