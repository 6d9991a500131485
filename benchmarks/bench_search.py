"""Measure search: from the shell and from Python, over corpora of growing size, and in more or fewer segments.

    python -m benchmarks.bench_search [--sizes 10000 100000] [--segments-of 100000] [--folder DIR]

Corpora are synthetic: heavy-tailed vectors of the default encoder, and cutouts of noise. On disk they are like those
of an ingest. A corpus of 10^6 vectors takes 5 GB of --folder. Larger sizes, up to 10^10, are computed, and the
arithmetic is printed. For cold figures, the page cache of the whole machine is emptied first, if that is allowed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from benchmarks.caches import drop_caches
from benchmarks.report import heading, table
from benchmarks.synthetic import KEPT, Synthetic
from pipeline.simulate import fine_header, scatter, simulate_file

SEGMENT = 1_000_000
"""Vectors of a segment, the default of the configuration."""
EXACT_BELOW = 20_000
COUNTS = (1, 2, 4, 8, 16, 32)
WARM = 100
THREADS = (1, 8)
WINDOWS_A_SOURCE = 1_260_000
"""Windows of a source, of which one in fifty is kept."""


@dataclass(frozen=True)
class Asked:
    """Times of a fresh process (:mod:`benchmarks.ask`)."""

    opened_s: float
    first_s: float
    taken_s: list[float]
    segment_s: float
    """Median of the seconds that one segment takes for a query."""
    per_s: float
    peak_mb: float

    def quantile_ms(self, share: float) -> float:
        """Return a quantile of the times of warm queries."""
        return float(1e3 * np.quantile(self.taken_s, share))


@dataclass(frozen=True)
class Size:
    """Figures of a measured corpus, from which those of larger ones are computed."""

    count: int
    segments: int
    warm_ms: float
    segment_ms: float
    shell_s: float
    segment_bytes: int
    vector_bytes: int
    source_bytes: int
    manifest_bytes: int
    sources: int


def ask(corpus: Synthetic, threads: int, exact: bool, warm: int) -> Asked:
    """Search in a fresh process, each time beginning with another window."""
    corpus.windows.append(corpus.windows.pop(0))
    windows = (corpus.windows * (1 + warm // len(corpus.windows)))[: 1 + warm]
    command = [sys.executable, "-m", "benchmarks.ask", str(corpus.root), str(threads),
               "exact" if exact else "index", *windows]
    return Asked(**json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout))


LAUNCHER = """
import json, os, sys, time
began = time.perf_counter()
null = (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)
process = os.posix_spawn(sys.executable, [sys.executable, *sys.argv[1:]], os.environ, file_actions=[null])
_, status, usage = os.wait4(process, 0)
print(json.dumps([time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1e3,
                  os.waitstatus_to_exitcode(status)]))
"""
"""Starts the command from a small process, because Linux counts the memory that a parent has at the start of a child as
the child's own."""


@dataclass(frozen=True)
class Run:
    """What one run of the command took, from start to end."""

    wall_s: float
    cpu_s: float
    """Seconds of all cores together."""
    peak_mb: float


def shell(*arguments: str) -> Run:
    """Run ``lookalike`` in a process of its own."""
    done = subprocess.run([sys.executable, "-c", LAUNCHER, "-m", "pipeline", *arguments],
                          capture_output=True, text=True, check=True)
    *taken, code = json.loads(done.stdout)
    if code or "note:" in done.stderr:
        raise SystemExit(f"lookalike {' '.join(arguments)}: exit code {code}; {done.stderr}")
    return Run(*taken)


def outside_file(folder: Path) -> tuple[str, ...]:
    """Simulate a file that no corpus has; return the flags that search for a signal in it."""
    header = fine_header(source_name="OUTSIDE", mjd=59_500)
    path = folder / "outside.h5"
    placed = scatter(np.random.default_rng(0), header, count=80, families=["steady"], snr=(30.0, 60.0))
    simulate_file(path, header, placed)
    f_mhz = placed[0].f_mhz
    return "--file", str(path), "--f-start", f"{f_mhz - 0.00035:.6f}", "--f-stop", f"{f_mhz + 0.00035:.6f}"


def shell_rows(corpus: Synthetic, outside: Sequence[str]) -> tuple[list[Sequence[object]], float]:
    """Rows for the command line, and the warm seconds of ``--window``."""
    rows: list[Sequence[object]] = []
    warm_s = 0.0
    for what, query in (("--window", ("--window", corpus.windows[0])), ("--file, a range outside the corpus", outside)):
        arguments = ("search", "--corpus", str(corpus.root), *query)
        problem = drop_caches()
        cold = "–" if problem else f"{shell(*arguments).wall_s:.2f}"
        taken = [shell(*arguments) for _ in range(6)][1:]
        seconds = statistics.median(run.wall_s for run in taken)
        warm_s = warm_s or seconds
        rows.append((f"shell, {what}", cold, f"{seconds:.2f}", "", "", f"{max(run.peak_mb for run in taken):,.0f}"))
    return rows, warm_s


def python_rows(corpus: Synthetic, exact: bool) -> tuple[list[Sequence[object]], float, float]:
    """Return rows for a process that stays open, the median time of a warm query, and that of one segment, in ms."""
    problem = drop_caches()
    cold = None if problem else ask(corpus, 1, exact, 0)
    rows: list[Sequence[object]] = []
    medians, of_segments = [], []
    for threads in THREADS:
        warm = ask(corpus, threads, exact, WARM * min(threads, 4))
        medians.append(warm.quantile_ms(0.5))
        of_segments.append(1e3 * warm.segment_s)
        first = f"{cold.opened_s:.2f} + {cold.first_s:.2f}" if cold and threads == 1 else "–"
        rows.append((f"Python, {threads} thread(s), {'exact' if exact else 'as indexed'}", first,
                     f"{warm.opened_s:.2f} + {warm.first_s:.2f}",
                     f"{warm.quantile_ms(0.5):.1f} / {warm.quantile_ms(0.95):.1f}", f"{warm.per_s:,.0f}",
                     f"{warm.peak_mb:,.0f}"))
    return rows, medians[0], of_segments[0]


def measure_size(count: int, folder: Path, outside: Sequence[str]) -> Size:
    """Make a corpus, search it, and print the table."""
    corpus = Synthetic(folder / f"corpus{count}", count, sources=max(4, count // KEPT))
    segments = 0 if count < EXACT_BELOW else max(1, count // SEGMENT)
    if segments:
        corpus.index(segments)
    heading(f"Search: {count:,} vectors, {len(corpus.store.manifest().sources)} sources, {segments} segment(s)",
            "pynndescent", "numpy", "zarr")
    if problem := drop_caches():
        print(f"No cold start is measured: {problem}.\n")
    rows, shell_s = shell_rows(corpus, outside)
    graph, warm_ms, segment_ms = python_rows(corpus, exact=False)
    exact = python_rows(corpus, exact=True)[0] if segments else []
    table(("", "cold, s (open + first query)", "files warm, s (open + first query)", "p50 / p95 of later queries, ms",
           "queries/s", "peak memory, MB"), [*rows, *graph, *exact])
    newest = max((corpus.root / "manifest").iterdir())
    return Size(count, segments, warm_ms, segment_ms, shell_s, corpus.bytes_of(["index"]), corpus.bytes_of(["vectors"]),
                corpus.bytes_of(["sources"]), newest.stat().st_size, len(corpus.store.manifest().sources))


def measure_segments(count: int, folder: Path) -> None:
    """Print latencies with the same vectors in different numbers of segments."""
    corpus = Synthetic(folder / f"segments{count}", count, sources=max(COUNTS))
    heading(f"Search: {count:,} vectors in more or fewer segments", "pynndescent")
    rows = []
    for segments in COUNTS:
        corpus.index(segments)
        warm = ask(corpus, 1, False, WARM)
        rows.append((segments, f"{count // segments:,}", f"{warm.opened_s + warm.first_s:.2f}",
                     f"{warm.quantile_ms(0.5):.1f}", f"{warm.quantile_ms(0.95):.1f}",
                     f"{warm.quantile_ms(0.5) / segments:.2f}", f"{warm.peak_mb:,.0f}"))
    table(("segments", "vectors each", "open + first query, s", "p50, ms", "p95, ms", "p50 a segment, ms",
           "peak memory, MB"), rows)


def show_growth(sizes: Sequence[Size]) -> None:
    """Print the measured sizes, and larger ones computed from the largest measured one that has segments."""
    last = max(sizes, key=lambda size: size.count)
    if not last.segments:
        return
    rows: list[Sequence[object]] = [(f"{s.count:,}", "measured", s.segments, f"{s.warm_ms:,.1f}", f"{s.shell_s:.2f}",
                                     _gb(s.segment_bytes), _gb(s.segment_bytes + s.vector_bytes + s.source_bytes),
                                     f"{s.sources:,}", f"{s.manifest_bytes / 1e6:,.1f}") for s in sizes]
    in_ram, on_disk = last.segment_bytes / last.count, (last.vector_bytes + last.source_bytes) / last.count
    beside_ms = last.warm_ms - last.segments * last.segment_ms
    for count in (10**7, 10**8, 10**9, 10**10):
        segments, sources = count // SEGMENT, max(1, count // KEPT)
        rows.append((f"{count:,}", "computed", f"{segments:,}", f"{beside_ms + segments * last.segment_ms:,.0f}", "–",
                     _gb(count * in_ram), _gb(count * (in_ram + on_disk)), f"{sources:,}",
                     f"{sources * last.manifest_bytes / last.sources / 1e6:,.0f}"))
    heading("Search: growth", "pynndescent")
    table(("vectors", "", "segments", "p50 of warm queries, ms", "from the shell, s", "segments, GB",
           "whole corpus, GB", "sources", "manifest, MB"), rows)
    print(f"\nHow the rows were computed. Time: segments of {SEGMENT:,} vectors are searched one after the other, "
          f"{last.segment_ms:.2f} ms each, and everything else takes {beside_ms:.1f} ms, as measured with "
          f"{last.count:,} vectors in {last.segments} segment(s). Size: {in_ram:,.0f} bytes a vector in segments, "
          f"which are mapped and must lie in memory to be so fast, "
          f"and {on_disk:,.0f} bytes a vector elsewhere, with cutouts "
          f"that cannot be compressed. Manifest: {last.manifest_bytes / last.sources:,.0f} bytes a source, with one "
          f"source for each {KEPT:,} vectors (2 % of {WINDOWS_A_SOURCE:,} windows).")


def _gb(size: float) -> str:
    return f"{size / 1e9:,.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--segments-of", type=int, default=100_000, help="vectors to spread over segments; 0: none")
    parser.add_argument("--folder", type=Path, help="where corpora are made; default: a temporary folder")
    options = parser.parse_args()
    sizes = []
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        outside = outside_file(Path(scratch))
        for count in options.sizes:
            sizes.append(measure_size(count, Path(scratch), outside))
        if sizes:
            show_growth(sizes)
    if options.segments_of:
        with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
            measure_segments(options.segments_of, Path(scratch))


if __name__ == "__main__":
    main()
