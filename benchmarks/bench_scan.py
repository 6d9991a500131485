"""Measure scan and ingest, and compare with a bare read of the same file and with the loop of the first notebook.

    python -m benchmarks.bench_scan [--coarse-channels 64] [--folder DIR] [--workers 2] [--rounds 5]

Writes a file of 16 × coarse channels × 2^20 float32 with signals in about 2 % of its windows, and three copies of it;
64 coarse channels are 4.3 GB decoded. Later runs use the same files. All files must fit into the page cache: 13 GB for
64 coarse channels.

Bare reads, scans and ingests run in turn, round by round, each in a process of its own (see
:mod:`benchmarks.rounds`). The bare read uses h5py and hdf5plugin. It is measured twice: with default settings, as
anyone runs it, and with an allocator that keeps freed memory, as in the workers of this project.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import hdf5plugin  # noqa: F401 - registers bitshuffle with HDF5
import numpy as np
import psutil

from benchmarks.report import heading, table
from benchmarks.rounds import answer, described, in_turn, measured_in_processes, ratios
from pipeline.config import Config
from pipeline.encoders import resolve_precision
from pipeline.execute.cluster import embedded_cluster
from pipeline.filterbank import open_filterbank, read_waterfall
from pipeline.run import ingest
from pipeline.scan import scan, tiling_of
from pipeline.simulate import fine_header, scatter, simulate_file

SIGNALS = 80
"""Signals in a coarse channel: in 2 % of its 4,096 windows."""
VIEWS = ("f4", "f16")
FILES = 4
"""Files with which one worker is compared with several. With one file, some workers would be idle at the end."""
PLAIN, BARE = "bare h5py read, as anyone runs it", "bare h5py read, freed memory kept"
SCAN, SCAN_VIEWS = "scan alone", "scan alone, three views"
INGEST, INGEST_VIEWS = "whole ingest, {}", "whole ingest, three views, {}"
Ingest = Callable[[list[Path]], float]
"""Function that ingests files into a new corpus and returns seconds."""


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


def scan_alone(path: Path, views: tuple[str, ...]) -> list[float]:
    """Read, flatten, gate and cut, in this process; return seconds, windows seen, windows kept, of all views."""
    config = replace(Config().scan, views=views)
    began = time.perf_counter()
    with open_filterbank(path) as filterbank:
        tiling = tiling_of(filterbank, config)
        seen = kept = 0
        for piece in scan(filterbank, tiling, range(tiling.n_coarse), config):
            seen += int(piece.exposure["windows_searched"].sum())
            kept += len(piece.windows["number"])
    return [time.perf_counter() - began, seen, kept]


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


def settings(workers: int, views: tuple[str, ...] = ()) -> Config:
    """Return the configuration of an ingest with these averaged views, by default none."""
    return Config().override({"run": {"workers": workers}, "scan": {"views": list(views)}})


def timed(ingest_files: Ingest, files: list[Path]) -> list[float]:
    """Ingest files as a measurement of :mod:`benchmarks.rounds`."""
    return [ingest_files(files)]


@contextmanager
def running_ingest(workers: int, precision: str, folder: Path, views: tuple[str, ...] = ()) -> Iterator[Ingest]:
    """Start a cluster and ingest once; yield a function that ingests files into a new corpus and returns seconds."""
    from distributed import Client

    config = settings(workers, views).override({"encoder": {"precision": precision}})
    with embedded_cluster(config.run) as cluster, Client(cluster, set_as_default=False) as client:
        whole_ingest(_first_files(folder, workers), config, folder, client)
        yield lambda paths: whole_ingest(paths, config, folder, client)


def _first_files(folder: Path, workers: int) -> list[Path]:
    """Make the files that a new cluster ingests first, four for each worker."""
    return [another(make_file(folder, 1), number) for number in range(4 * workers)]


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


def measure_on_request(what: str, path: Path, precision: str) -> None:
    """Answer the program that started this process: measure one thing as often as it asks."""
    views = VIEWS if what.endswith("views") else ()
    if what == "bare":
        answer(lambda: [bare_read(path)])
    elif what.startswith("scan"):
        answer(lambda: scan_alone(path, views))
    else:
        with running_ingest(1, precision, path.parent, views) as measure:
            answer(partial(timed, measure, [path]))


def on_one_core(path: Path, precisions: Iterable[str], rounds: int) -> dict[str, list[list[float]]]:
    """Measure bare reads, scans and ingests on one core, in turn."""
    tasks = {PLAIN: ["bare"], BARE: ["bare"], SCAN: ["scan"], SCAN_VIEWS: ["scan-views"]}
    for precision in precisions:
        tasks[INGEST.format(precision)] = ["ingest", "--precision", precision]
        tasks[INGEST_VIEWS.format(precision)] = ["ingest-views", "--precision", precision]
    _first_files(path.parent, 1)  # made here, because two processes would write the same file
    commands = {name: ["--file", str(path), "--only", *arguments] for name, arguments in tasks.items()}
    with one_core(), measured_in_processes("benchmarks.bench_scan", commands, default_allocator=[PLAIN]) as measures:
        return in_turn(measures, rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--coarse-channels", type=int, default=64)
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "lookalike-bench")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each, one after the other, on one core")
    parser.add_argument("--notebook-windows", type=int, default=16)
    parser.add_argument("--only", help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--precision", default="float32", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.only:
        measure_on_request(options.only, options.file, options.precision)
        return
    folder, workers = options.folder, options.workers
    folder.mkdir(parents=True, exist_ok=True)
    path = make_file(folder, options.coarse_channels)
    with open_filterbank(path) as filterbank:
        decoded = 4 * filterbank.header.nchans * filterbank.header.nsamples
    windows = 4096 * options.coarse_channels
    heading(f"16 × {options.coarse_channels} × 2^20 float32, {decoded / 1e9:.1f} GB decoded, "
            f"{path.stat().st_size / 1e9:.2f} GB on disk", "h5py", "hdf5plugin", "numba", "openvino", "tensorflow")

    fastest = resolve_precision("spectral", "auto")
    found = on_one_core(path, dict.fromkeys(("float32", fastest)), options.rounds)
    rate = notebook_loop(path, options.notebook_windows)
    with_views = {SCAN_VIEWS: SCAN} | {INGEST_VIEWS.format(one): INGEST.format(one) for one in ("float32", fastest)}
    rows = []
    for name, rounds in found.items():
        seconds = min(one[0] for one in rounds)
        rows.append((name, f"{seconds:,.1f}", f"{windows / seconds:,.0f}", f"{decoded / seconds / 1e6:,.0f}",
                     described(ratios(rounds, found[BARE])), described(ratios(rounds, found[PLAIN])),
                     described(ratios(rounds, found[with_views[name]])) if name in with_views else "",
                     f"{windows / seconds / rate:,.0f}"))
    print(f"One core; {options.rounds} rounds, in each of which all are measured in turn.\n")
    table(("what", "seconds", "windows/s", "MB/s decoded", "× bare read", "× bare read as anyone runs it",
           "× the same with one view", "× notebook"), rows)
    _, seen, kept = found[SCAN][0]
    _, seen_in_views, kept_in_views = found[SCAN_VIEWS][0]
    print(f"\nKept: {100 * kept / seen:.2f} % of the windows, and {kept_in_views - kept:.0f} of "
          f"{seen_in_views - seen:.0f} averaged ones. The notebook's loop takes {windows / rate:,.0f} s, extrapolated "
          f"from {options.notebook_windows} windows.\n")
    on_several_cores(path, workers, fastest, options.rounds)


def on_several_cores(path: Path, workers: int, precision: str, rounds: int) -> None:
    """Measure an ingest by one worker and by several, of one file and of several; print a table."""
    folder, several = path.parent, [path, *(another(path, number) for number in range(FILES - 1))]
    rows: list[tuple[object, ...]] = []
    with ExitStack() as stack:
        with one_core():
            one = stack.enter_context(running_ingest(1, precision, folder))
        many = stack.enter_context(running_ingest(workers, precision, folder))
        for files in ([path], several):
            found = in_turn({"one": partial(timed, one, files), "many": partial(timed, many, files)}, rounds)
            one_s, many_s = (min(took[0] for took in found[name]) for name in ("one", "many"))
            rows.append((len(files), f"{one_s:.1f}", f"{many_s:.1f}", described(ratios(found["one"], found["many"]))))
    table(("files", "one worker on one core, s", f"{workers} workers, s", "times as fast"), rows)
    with peak_memory_of_children() as peak:
        alone_s = whole_ingest([path], settings(workers), folder)
    print(f"\nOne file by {workers} workers, start-up included: {alone_s:.1f} s; the largest worker took "
          f"{peak[0]:.2f} GB. `spectral` in {precision}.")


if __name__ == "__main__":
    main()
