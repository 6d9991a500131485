"""Measure an ingest of many small files, and searches of the corpus that it makes.

    python -m benchmarks.bench_small [--files 400] [--workers 2]

Each file has 256 windows, six of them with a signal. The bare read opens the same files with h5py and decodes them, on
one core. So its ratio to the ingest shows what a small file costs beside its samples.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.bench_scan import bare_read
from benchmarks.bench_search import Run, shell
from benchmarks.report import heading, table
from pipeline.evaluate.skies import LEVEL_BAND
from pipeline.simulate import PlacedSignal, Signal, fine_header, simulate_file
from pipeline.store import SourceGroup

WIDTH = 256 * 256
"""Channels in a file: 256 windows. The band is level, since these are a part of a coarse channel."""
SIGNALS = 6
"""Lines in a file, each in a window of its own: 0.5 Hz/s are 52 channels in 292 s."""


def make_files(folder: Path, count: int) -> list[Path]:
    """Write the files, each with noise and signals of its own."""
    paths = []
    for number in range(count):
        header = fine_header(coarse_width=WIDTH, mjd=59_000 + number // 200, second=1000 + number % 200 * 300)
        paths.append(folder / f"small_{number:05d}.h5")
        windows = np.random.default_rng(number).choice(WIDTH // 256, SIGNALS, replace=False)
        signals = [PlacedSignal(Signal("line", snr=40, width_hz=8, drift_hz_per_s=0.5 * line),
                                header.channel_edge_mhz(256.0 * window + 64)) for line, window in enumerate(windows)]
        simulate_file(paths[-1], header, signals, coarse_width=WIDTH, instrument=LEVEL_BAND, seed=number)
    return paths


def ingest_row(
    what: str, corpus: Path, run: Run, bare_s: float, options: argparse.Namespace
) -> Sequence[object]:
    """Return the row of an ingest, start-up included."""
    stored = sum(path.is_file() for kind in ("sources", "vectors") for path in (corpus / kind).rglob("*"))
    return (f"ingest, {options.workers} workers, {what}, start-up included", f"{run.wall_s:.1f}", f"{run.cpu_s:.1f}",
            f"{run.wall_s / bare_s:.1f}", f"{1e3 * run.wall_s / options.files:.0f}", f"{stored / options.files:.1f}")


def search_row(what: str, corpus: Path, query: str) -> Sequence[object]:
    """Search six times from the shell; return the row of the medians of the last five."""
    taken = [shell("search", "--corpus", str(corpus), "--window", query) for _ in range(6)][1:]
    return (what, f"{statistics.median(run.wall_s for run in taken):.2f}",
            f"{statistics.median(run.cpu_s for run in taken):.2f}", "", "", "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=400)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, corpus = Path(name), Path(name, "corpus")
        (folder / "data").mkdir()
        paths = make_files(folder / "data", options.files)
        heading(f"{options.files} small files of 256 windows", "dask", "zarr", "h5py")
        bare_s = min(sum(map(bare_read, paths)) for _ in range(2))
        rows: list[Sequence[object]] = [("bare h5py read, one core", f"{bare_s:.1f}", "", "1.0", "", "")]
        ingest = ("ingest", str(folder / "data"), "--workers", str(options.workers))
        run = shell(*ingest, "--corpus", str(folder / "one"), "--views", "none")
        rows.append(ingest_row("one view", folder / "one", run, bare_s, options))
        run = shell(*ingest, "--corpus", str(corpus))
        rows.append(ingest_row("three views", corpus, run, bare_s, options))
        query = first_window(corpus)
        rows.append(search_row("search from the shell, no segment", corpus, query))
        run = shell("index", "--corpus", str(corpus))
        rows.append(("index: vectors are gathered into flat segments", f"{run.wall_s:.1f}", f"{run.cpu_s:.1f}", "", "",
                     ""))
        rows.append(search_row("search from the shell, indexed", corpus, query))
        table(("what", "seconds", "processor seconds", "× bare read", "ms a file", "files on disk for each source"),
              rows)


def first_window(corpus: Path) -> str:
    """Return the name of a window of the first source, as ``search --window`` takes it."""
    source = min(path.name for path in (corpus / "sources").iterdir())
    return f"{source}/{SourceGroup.open(corpus, source).numbers[0]}"


if __name__ == "__main__":
    main()
