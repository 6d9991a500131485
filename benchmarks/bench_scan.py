"""Measure scan and ingest, and compare with a bare read of the same file and with the loop of the first notebook.

    python -m benchmarks.bench_scan [--coarse-channels 64] [--folder DIR] [--workers 2] [--notebook-windows 16]

Writes a file of 16 × coarse channels × 2^20 float32 with signals in about 2 % of its windows, and three copies of it;
64 coarse channels are 4.3 GB decoded. Later runs use the same files. Everything is timed in one run, so that ratios
do not depend on the machine. All files must fit into the page cache: 13 GB for 64 coarse channels.

The bare read uses h5py and hdf5plugin in a process of its own. It is measured twice: with default settings, as anyone
runs it, and with an allocator that keeps freed memory, as in the workers of this project. The table has ratios to both.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401 - registers bitshuffle with HDF5
import numpy as np
import psutil

from benchmarks.report import heading, table
from pipeline.config import Config
from pipeline.encoders import resolve_precision
from pipeline.execute.cluster import embedded_cluster
from pipeline.execute.dask_settings import ALLOCATOR
from pipeline.filterbank import open_filterbank, read_waterfall
from pipeline.run import ingest
from pipeline.scan import scan, tiling_of
from pipeline.simulate import fine_header, scatter, simulate_file

SIGNALS = 80
"""Signals in a coarse channel: in 2 % of its 4,096 windows."""
VIEWS = ("f4", "f16")
REPEATS = 3
FILES = 4
"""Files with which one worker is compared with several. With one file, some workers would be idle at the end."""


def make_file(folder: Path, coarse_channels: int) -> Path:
    path = folder / f"bench_{coarse_channels}.h5"
    if not path.exists():
        header = fine_header(coarse_channels=coarse_channels, source_name="BENCH")
        simulate_file(path, header, scatter(np.random.default_rng(0), header, count=SIGNALS * coarse_channels))
    return path


def another(path: Path, number: int) -> Path:
    """Copy the file with a later start, which makes it another source; a copy that exists is used again."""
    copy = path.with_name(f"{path.stem}_{number}.h5")
    if not copy.exists():
        shutil.copy(path, copy)
        with h5py.File(copy, "r+") as file:
            file["data"].attrs["tstart"] += 0.01 * (number + 1)
    return copy


def bare_read(path: Path) -> float:
    """Read every chunk through h5py; return seconds."""
    began = time.perf_counter()
    with h5py.File(path) as file:
        data = file["data"]
        rows, _, width = data.chunks
        for channel in range(0, data.shape[2], width):
            for row in range(0, data.shape[0], rows):
                data[row : row + rows, 0, channel : channel + width]
    return time.perf_counter() - began


def scan_alone(path: Path, views: tuple[str, ...] = ()) -> tuple[float, int, int]:
    """Read, flatten, gate and cut, in this process; return seconds, windows seen, windows kept, of all views."""
    config = replace(Config().scan, views=views)
    began = time.perf_counter()
    with open_filterbank(path) as filterbank:
        tiling = tiling_of(filterbank, config)
        seen = kept = 0
        for piece in scan(filterbank, tiling, range(tiling.n_coarse), config):
            seen += int(piece.exposure["windows_searched"].sum())
            kept += len(piece.windows["number"])
    return time.perf_counter() - began, seen, kept


def repeated(what: str, path: Path, allocator: Mapping[str, int]) -> list[float]:
    """Run one measurement several times in a process of its own; return the result of the fastest."""
    environment = {**{name: value for name, value in os.environ.items() if name not in ALLOCATOR},
                   **{name: str(value) for name, value in allocator.items()}}
    command = [sys.executable, "-m", "benchmarks.bench_scan", "--only", what, "--file", str(path)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return min(json.loads(line) for line in done.stdout.splitlines())


@contextmanager
def peak_memory_of_children() -> Iterator[list[float]]:
    """Sample the resident memory of each child process. The list has one entry: the largest so far, in GB."""
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


@contextmanager
def one_core() -> Iterator[None]:
    """Keep this process and its children on one core."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def whole_ingest(paths: list[Path], config: Config, folder: Path, client: Any = None) -> float:
    """Ingest into a new corpus; return seconds."""
    with tempfile.TemporaryDirectory(dir=folder) as corpus:
        report = ingest(paths, Path(corpus) / "corpus", client, config=config)
    if report.exit_code:
        raise SystemExit(f"ingest failed: {report.reports}")
    return report.elapsed_s


def plain(workers: int) -> Config:
    """Return the configuration of an ingest without averaged views."""
    return Config().override({"run": {"workers": workers}, "scan": {"views": []}})


def running_ingest(paths: list[Path], workers: int, precision: str, folder: Path) -> float:
    """Ingest several times on a cluster that is running and has ingested before; return the seconds of the fastest."""
    from distributed import Client

    config = plain(workers).override({"encoder": {"precision": precision}})
    with embedded_cluster(config.run) as cluster, Client(cluster, set_as_default=False) as client:
        whole_ingest([another(make_file(folder, 1), n) for n in range(4 * workers)], config, folder, client)
        return min(whole_ingest(paths, config, folder, client) for _ in range(REPEATS))


def notebook_loop(path: Path, windows: int) -> float:
    """Do what the notebook does for each window: blimpy grab, scikit-image resize, one predict. Return windows/s.

    The file is opened once. Weights are random, which changes no timing.
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
    parser.add_argument("--only", choices=("bare", "scan", "views"), help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        for _ in range(REPEATS + 1):  # the first run fills the caches
            print(json.dumps([bare_read(options.file)] if options.only == "bare" else
                             scan_alone(options.file, VIEWS if options.only == "views" else ())))
        return
    folder, workers = options.folder, options.workers
    folder.mkdir(parents=True, exist_ok=True)
    path = make_file(folder, options.coarse_channels)
    several = [path, *(another(path, number) for number in range(FILES - 1))]
    with open_filterbank(path) as filterbank:
        decoded = 4 * filterbank.header.nchans * filterbank.header.nsamples
    windows = 4096 * options.coarse_channels
    heading(f"16 × {options.coarse_channels} × 2^20 float32, {decoded / 1e9:.1f} GB decoded, "
            f"{path.stat().st_size / 1e9:.2f} GB on disk", "h5py", "hdf5plugin", "numba", "openvino", "tensorflow")

    fastest = resolve_precision("spectral", "auto")
    rows: list[tuple[str, float, str]] = []
    with one_core():
        scan_alone(make_file(folder, 1))  # compiles
        for file in reversed(several):  # fills the page cache, so that decompression is measured and not the disk
            bare_read(file)
        plain_s = bare_s = scan_s = views_s = float("inf")
        for _ in range(2):  # measured in turn; the best counts, because the machine may have other work
            plain_s = min(plain_s, *repeated("bare", path, {}))
            bare_s = min(bare_s, *repeated("bare", path, ALLOCATOR))
            took_s, seen, kept = repeated("scan", path, ALLOCATOR)
            scan_s = min(scan_s, took_s)
            took_s, seen_in_views, kept_in_views = repeated("views", path, ALLOCATOR)
            views_s = min(views_s, took_s)
        rows.append(("bare h5py read, one core, as anyone runs it", plain_s, ""))
        rows.append(("bare h5py read, one core, freed memory kept", bare_s, ""))
        rows.append(("scan alone, one core", scan_s, f"{100 * kept / seen:.2f} % kept"))
        rows.append((f"scan alone with the views {' and '.join(VIEWS)}, one core", views_s,
                     f"{views_s / scan_s:.2f} × one view; {kept_in_views - kept} of "
                     f"{seen_in_views - seen} averaged windows kept"))
        several_s = {1: running_ingest(several, 1, fastest, folder)}
        for precision in dict.fromkeys(("float32", fastest)):
            rows.append((f"whole ingest, spectral in {precision}, one worker, the same core",
                         running_ingest([path], 1, precision, folder), "cluster running"))
    rows.append((f"scan alone, one process, {os.cpu_count()} cores", repeated("scan", path, ALLOCATOR)[0], ""))
    for count in sorted({1, workers}):
        rows.append((f"whole ingest, {count} worker(s)", running_ingest([path], count, "float32", folder),
                     "cluster running"))
    several_s[workers] = running_ingest(several, workers, fastest, folder)
    with peak_memory_of_children() as peak:
        alone_s = whole_ingest([path], plain(workers), folder)
    rows.append((f"whole ingest, {workers} worker(s), start-up included", alone_s,
                 f"largest worker {peak[0]:.2f} GB"))
    rate = notebook_loop(path, options.notebook_windows)
    rows.append(("the notebook's loop", windows / rate, f"extrapolated from {options.notebook_windows} windows"))
    table(("what", "seconds", "windows/s", "MB/s decoded", "× bare read", "× bare read as anyone runs it", "× notebook",
           "remark"),
          [(what, f"{s:,.1f}", f"{windows / s:,.1f}", f"{decoded / s / 1e6:,.1f}", f"{s / bare_s:.2f}",
            f"{s / plain_s:.2f}", f"{windows / s / rate:,.0f}", note) for what, s, note in rows])
    one_s, many_s = several_s[1], several_s[workers]
    print(f"\n{FILES} such files, `spectral` in {fastest}, cluster running: {one_s:.1f} s by one worker on one core, "
          f"{many_s:.1f} s by {workers} workers: {one_s / many_s:.2f} times as fast.")


if __name__ == "__main__":
    main()
