"""Measure ``lookalike search --hits``: all rows of a hit table against a corpus, beside a bare read of what they touch.

    python -m benchmarks.bench_hits [--rows 300] [--corpus DIR] [--vectors 100000] [--coarse-channels 8]

The corpus is synthetic, as in ``bench_search``, unless ``--corpus`` names another. The table is a ``.dat`` in the form
of turboSETI. Its rows are the signals of a simulated file that is in no corpus, and they lie in all of its coarse
channels. A search for one row, measured too, shows what any such search takes: starting Python, and loading numba and
the encoder. The bare read uses h5py and hdf5plugin, in a process of its own. Figures are the least of several runs.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from benchmarks.bench_scan import bare_read
from benchmarks.bench_search import Run, shell
from benchmarks.report import heading, table
from benchmarks.synthetic import Synthetic
from pipeline.hit_tables import read_hit_table
from pipeline.model import Header
from pipeline.search import open_corpus
from pipeline.simulate import Truth, fine_header, scatter, simulate_file

FAMILIES = ("steady", "rising", "falling", "sweep", "pulsed")
"""Kinds of signals that a search along straight lines finds."""
LIMIT_S, BARE_READS = 5.0, 2
"""What all rows may take, besides this number of bare reads."""


def write_table(path: Path, file: Path, header: Header, found: Sequence[Truth]) -> Path:
    """Write a table as turboSETI 2.3.2 does, with a row for each signal of a file."""
    rule, blank = "# -------------------------- o --------------------------", "# --------------------------"
    lines = [rule, f"# File ID: {file.name} ", rule, f"# Source:{header.source_name}",
             f"# MJD: {header.tstart_mjd:18.12f}\tRA: 15h46m48s\tDEC: 34d54m00s",
             f"# DELTAT: {header.tsamp_s:10.6f}\tDELTAF(Hz): {header.foff_mhz * 1e6:10.6f}\t"
             f"max_drift_rate:   4.000000\tobs_length: {header.duration_s:10.6f}", blank,
             "# Top_Hit_# \tDrift_Rate \tSNR \tUncorrected_Frequency \tCorrected_Frequency \tIndex \tfreq_start "
             "\tfreq_end \tSEFD \tSEFD_freq \tCoarse_Channel_Number \tFull_number_of_hits \t", blank]
    for i, one in enumerate(sorted(found, key=lambda one: one.f_start_mhz), start=1):
        signal, f_mhz = one.placed.signal, one.placed.f_mhz
        lines.append(f"{i:06d}\t{signal.drift_hz_per_s:10.6f}\t{4 * signal.snr:10.6f}\t{f_mhz:14.6f}\t{f_mhz:14.6f}\t"
                     f"{one.channel_start}\t{f_mhz + 0.002:14.6f}\t{f_mhz - 0.002:14.6f}\t0.0\t0.000000\t0\t858\t")
    path.write_text("\n".join(lines) + "\n")
    return path


def simulated(folder: Path, rows: int, coarse_channels: int) -> tuple[Path, Path, Path]:
    """Simulate a file; return it, the table of all of its signals, and a table of one."""
    file = folder / "scan.h5"
    header = fine_header(coarse_channels=coarse_channels, source_name="OUTSIDE", mjd=59_500)
    placed = scatter(np.random.default_rng(0), header, count=rows, families=FAMILIES, snr=(10.0, 50.0))
    found = simulate_file(file, header, placed)
    width = header.nchans // coarse_channels
    if len({one.channel_start // width for one in found}) < coarse_channels:
        raise SystemExit(f"{rows} rows do not touch all of {coarse_channels} coarse channels: give more rows")
    return file, write_table(folder / "all.dat", file, header, found), write_table(
        folder / "one.dat", file, header, found[:1])


def fastest(arguments: Sequence[str], runs: int) -> Run:
    """Run a search several times; return the least of each figure."""
    taken = [shell(*arguments) for _ in range(runs)]
    return Run(*(min(getattr(run, name) for run in taken) for name in ("wall_s", "cpu_s", "peak_mb")))


def bare(file: Path, runs: int) -> tuple[float, float]:
    """Read a file in a process of its own; return wall and CPU seconds of the fastest run."""
    done = subprocess.run([sys.executable, "-m", "benchmarks.bench_hits", "--read", str(file), "--runs", str(runs)],
                          stdout=subprocess.PIPE, check=True)
    wall_s, cpu_s = json.loads(done.stdout)
    return wall_s, cpu_s


def read_here(file: Path, runs: int) -> None:
    """Read all of a file several times, and print the least wall and CPU seconds as JSON."""
    walls, cpus = [], []
    for _ in range(runs):
        began_s = time.process_time()
        walls.append(bare_read(file))
        cpus.append(time.process_time() - began_s)
    print(json.dumps([min(walls), min(cpus)]))


def measure(root: Path, folder: Path, rows: int, coarse_channels: int, runs: int) -> None:
    """Measure, and print the table."""
    file, every, one = simulated(folder, rows, coarse_channels)
    first = next(open_corpus(root).search_rows(read_hit_table(one), folder=folder)).result
    if first is None:
        raise SystemExit("the first row was not searched for")
    signals = first.corpus["searched"]
    heading(f"Hit table: {rows} rows against {signals:,} signals", "numpy", "numba", "openvino")
    single, all_rows = (fastest(("search", "--corpus", str(root), "--hits", str(path)), runs) for path in (one, every))
    wall_s, cpu_s = bare(file, runs)
    table(("", "wall, s", "CPU, s", "peak memory, MB"), [
        (f"bare read of {coarse_channels} coarse channels", f"{wall_s:.2f}", f"{cpu_s:.2f}", ""),
        ("--hits, 1 row", f"{single.wall_s:.2f}", f"{single.cpu_s:.2f}", f"{single.peak_mb:,.0f}"),
        (f"--hits, {rows} rows", f"{all_rows.wall_s:.2f}", f"{all_rows.cpu_s:.2f}", f"{all_rows.peak_mb:,.0f}")])
    limit_s = LIMIT_S + BARE_READS * wall_s
    print(f"\n{rows} rows take {all_rows.wall_s / wall_s:.1f} times as long as the bare read, and "
          f"{all_rows.wall_s / limit_s:.2f} of the limit, which is {LIMIT_S:g} s and {BARE_READS} bare reads "
          f"({limit_s:.1f} s).")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=300)
    parser.add_argument("--corpus", type=Path, help="an existing corpus of the fine product; default: a synthetic one")
    parser.add_argument("--vectors", type=int, default=100_000, help="vectors of the synthetic corpus")
    parser.add_argument("--coarse-channels", type=int, default=8)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where files are made; default: a temporary folder")
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        read_here(options.read, options.runs)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        folder = Path(scratch)
        root = options.corpus
        if root is None:
            corpus = Synthetic(folder / "corpus", options.vectors, sources=4)
            corpus.index(1)
            root = corpus.root
        measure(root, folder, options.rows, options.coarse_channels, options.runs)


if __name__ == "__main__":
    main()
