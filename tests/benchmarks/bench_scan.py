"""Measure ingest: against a bare read of the same file, and against the notebook this project began as.

    python tests/benchmarks/bench_scan.py [--coarse-channels 64] [--folder DIR] [--workers 2] [--notebook-windows 16]

Writes a file of 16 × coarse channels × 2^20 float32 (64: 4.3 GB decoded) with signals in about 2 % of its windows,
once, and prints a markdown table. Everything is timed in the same run, so the ratios hold whatever the machine.
"""

from __future__ import annotations

import argparse
import os
import platform
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil

from pipeline.config import Config
from pipeline.filterbank import open_filterbank, read_waterfall
from pipeline.run import ingest
from pipeline.scan import scan, tiling_of
from pipeline.simulate import fine_header, scatter, simulate_file

SIGNALS = 80
"""A coarse channel: 2 % of its 4,096 windows."""


def make_file(folder: Path, coarse_channels: int) -> Path:
    path = folder / f"bench_{coarse_channels}.h5"
    if not path.exists():
        header = fine_header(coarse_channels=coarse_channels, source_name="BENCH")
        simulate_file(path, header, scatter(np.random.default_rng(0), header, count=SIGNALS * coarse_channels))
    return path


def bare_read(path: Path) -> float:
    """Read every chunk as h5py gives it: the decompression everyone pays."""
    import h5py
    import hdf5plugin  # noqa: F401

    began = time.perf_counter()
    with h5py.File(path) as file:
        data = file["data"]
        rows, _, width = data.chunks
        for channel in range(0, data.shape[2], width):
            for row in range(0, data.shape[0], rows):
                data[row : row + rows, 0, channel : channel + width]
    return time.perf_counter() - began


def scan_alone(path: Path) -> tuple[float, int, int]:
    """Read, flatten, gate and cut, in this process; return seconds, windows seen, windows kept."""
    config = Config().scan
    began = time.perf_counter()
    with open_filterbank(path) as filterbank:
        tiling = tiling_of(filterbank, config)
        seen = kept = 0
        for piece in scan(filterbank, tiling, range(tiling.n_coarse), config):
            seen += int(piece.exposure["windows_searched"].sum())
            kept += len(piece.windows["number"])
    return time.perf_counter() - began, seen, kept


@contextmanager
def peak_memory_of_children() -> Iterator[list[float]]:
    """Sample the resident memory of each child process; the list ends up with one entry: the largest, in GB."""
    peak, stop = [0.0], threading.Event()

    def sample() -> None:
        me = psutil.Process()
        while not stop.wait(0.1):
            for child in me.children(recursive=True):
                try:
                    peak[0] = max(peak[0], child.memory_info().rss / 1e9)
                except psutil.NoSuchProcess:
                    continue

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        stop.set()
        thread.join()


def whole_ingest(path: Path, workers: int, corpus: Path) -> tuple[float, float]:
    """Ingest on an embedded cluster; return seconds (workers' start included) and the largest worker's memory in GB."""
    config = Config().override({"run": {"workers": workers}})
    with peak_memory_of_children() as peak:
        report = ingest([path], corpus, config=config)
    if report.exit_code:
        raise SystemExit(f"ingest failed: {report.reports}")
    return report.elapsed_s, peak[0]


def notebook_loop(path: Path, windows: int) -> float:
    """Do what the notebook does for each window: blimpy grab, scikit-image resize, one predict. Return windows/s.

    The file is opened once, for the coarse channel that holds the windows; weights are random, which changes no timing.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import keras
    from skimage.transform import resize

    model = keras.applications.ResNet50(weights=None, include_top=False)
    with open_filterbank(path) as filterbank:
        header = filterbank.header
    low = header.f_min_mhz
    waterfall = read_waterfall(path, low, low + 1.0)
    step_mhz = 256 * header.channel_width_mhz

    def one(i: int) -> None:
        f_start, f_stop = round(low + 0.1 + i * step_mhz, 3), round(low + 0.1 + (i + 1) * step_mhz, 3)
        _, data = waterfall.grab_data(f_start=f_start, f_stop=f_stop)
        log = np.log(data)
        image = resize((log - log.min()) / log.max(), (1, 224, 224, 3))
        model.predict(image, verbose=0).flatten()

    one(0)  # the first call compiles
    began = time.perf_counter()
    for i in range(1, windows + 1):
        one(i)
    return windows / (time.perf_counter() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--coarse-channels", type=int, default=64)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "lookalike-bench")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--notebook-windows", type=int, default=16)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    path = make_file(options.folder, options.coarse_channels)
    with open_filterbank(path) as filterbank:
        decoded = 4 * filterbank.header.nchans * filterbank.header.nsamples
    windows = 4096 * options.coarse_channels

    scan_alone(make_file(options.folder, 1))  # compile, and warm what is cached
    bare_read(path)  # into the page cache: what is measured is decompression, for all of them
    bare_s = bare_read(path)
    scan_s, seen, kept = scan_alone(path)
    rows = [
        ("bare h5py read, one process", bare_s, windows / bare_s, ""),
        ("scan alone, one process", scan_s, seen / scan_s, f"{100 * kept / seen:.2f} % kept"),
    ]
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        for workers in sorted({1, options.workers}):
            ingest_s, memory_gb = whole_ingest(path, workers, Path(scratch) / f"corpus{workers}")
            rows.append((f"whole ingest, {workers} worker(s), start-up included", ingest_s, windows / ingest_s,
                         f"largest worker {memory_gb:.2f} GB"))
    rate = notebook_loop(path, options.notebook_windows)
    rows.append(("the notebook's loop", windows / rate, rate, f"extrapolated from {options.notebook_windows} windows"))

    print(f"16 × {options.coarse_channels} × 2^20 float32, {decoded / 1e9:.1f} GB decoded, "
          f"{path.stat().st_size / 1e9:.2f} GB on disk; {platform.machine()}, {os.cpu_count()} cores, "
          f"Python {platform.python_version()}\n")
    print("| what | seconds | windows/s | MB/s decoded | × bare read | × notebook | |")
    print("|---|---:|---:|---:|---:|---:|---|")
    for what, seconds, per_s, note in rows:
        print(f"| {what} | {seconds:,.1f} | {per_s:,.1f} | {decoded / seconds / 1e6:,.1f} | {seconds / bare_s:.2f} | "
              f"{per_s / rate:,.0f} | {note} |")


if __name__ == "__main__":
    main()
