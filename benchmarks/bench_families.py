"""Measure how long families of many vectors take, and how much memory.

    python -m benchmarks.bench_families [--sizes 100000 1000000]

The vectors are heavy-tailed like those of the default encoder: half lie in 40 clusters, of which the largest holds a
tenth of all vectors or more, three tenths in groups of five, the rest each on its own. Each size is grouped in a fresh
process, from vectors in memory. The neighbours are found anew, as `lookalike families --again` does. Reading and
writing the corpus are left out.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time

from benchmarks.report import heading, table
from pipeline.families import MIN_MEMBERS, group
from tests.index.heavy_tailed import heavy_tailed

DIMENSION = 152


def measure(count: int) -> dict[str, float]:
    """Group so many vectors in this process."""
    vectors = heavy_tailed(count, DIMENSION, 1)
    before = resource.getrusage(resource.RUSAGE_SELF)
    began = time.perf_counter()
    found = group(vectors)
    elapsed_s = time.perf_counter() - began
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {"elapsed_s": elapsed_s, "peak_gb": usage.ru_maxrss / 1e6, "families": int(found.max()),
            "largest": int((found == 1).sum()),
            "cpu_s": usage.ru_utime + usage.ru_stime - before.ru_utime - before.ru_stime}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", default=[100_000, 1_000_000])
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.one)))
        return
    heading(f"Families of at least {MIN_MEMBERS} windows", "pynndescent", "numpy", "scipy")
    rows = []
    for count in options.sizes:
        command = [sys.executable, "-m", "benchmarks.bench_families", "--one", str(count)]
        one = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
        rows.append((f"{count:,}", f"{one['families']:,}", f"{one['largest']:,}", f"{one['elapsed_s']:,.0f}",
                     f"{one['cpu_s']:,.0f}", f"{one['peak_gb']:.1f}"))
    table(("vectors", "families", "windows of the largest", "seconds", "CPU seconds", "peak memory, GB"), rows)


if __name__ == "__main__":
    main()
