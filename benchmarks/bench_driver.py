"""Measure the cost of driving many sources: their tasks do nothing, but go through a real Dask scheduler.

    python -m benchmarks.bench_driver [--sources 100000] [--workers 2] [--parts 1] [--folder DIR]

Scheduler and workers are processes of their own. After each tenth of the sources, the program prints the time per
source, and the memory of client and scheduler. At the end it prints the highest number of tasks in flight, the time per
task, and how many worker threads a driver of this speed keeps busy with tasks of five seconds. ``--json`` prints
numbers for the test.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import dask
import psutil

from benchmarks import stub
from benchmarks.report import heading, table
from pipeline.catalogue import Manifest
from pipeline.config import Config, RunConfig
from pipeline.execute.dask_engine import DaskEngine
from pipeline.execute.dask_settings import cluster_settings
from pipeline.execute.engine import Outcome
from pipeline.model import SourceReport
from pipeline.run.driver import Driver
from pipeline.run.progress import Progress, Tracker
from pipeline.store import CorpusStore

TASK_S = 5.0
"""Typical duration of a scan task of a real file."""
MARKS = 10


@dataclass
class Mark:
    """Progress of a run, and the time and memory it has used until then."""

    sources: int
    elapsed_s: float
    client_mb: float
    scheduler_mb: float
    published_s: float
    scheduler_tasks: int


@dataclass
class Measured:
    """Figures of one run."""

    sources: int
    tasks: int
    slots: int
    in_flight: int
    """Configured limit for one worker thread (slot)."""
    most_in_flight: int
    """Highest number that was counted in all slots together."""
    elapsed_s: float
    marks: list[Mark] = field(default_factory=list)

    @property
    def task_s(self) -> float:
        """Seconds for each task that does nothing: how fast the driver can hand out tasks."""
        return self.elapsed_s / self.tasks

    @property
    def lost(self) -> float:
        """Upper bound of the share of a slot's time that is lost to scheduling if each task takes ``TASK_S``."""
        overhead_s = self.task_s * self.slots
        return overhead_s / (overhead_s + TASK_S)

    def growth(self, name: str) -> float:
        """Return the largest relative change of memory since the end of the first tenth."""
        first, *later = [getattr(mark, name) for mark in self.marks]
        return max((value / first - 1 for value in later), key=abs)


class Counting(DaskEngine):
    """Counts the tasks in flight."""

    now = most = 0

    def submit(self, *arguments: Any, **options: Any) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        super().submit(*arguments, **options)

    def wait(self) -> list[Outcome]:
        ended = super().wait()
        self.now -= len(ended)
        return ended


class Store(CorpusStore):
    """Adds up the time of all publications."""

    spent_s = 0.0

    def publish(self, change: Any) -> Manifest:
        began = time.perf_counter()
        manifest = super().publish(change)
        self.spent_s += time.perf_counter() - began
        return manifest


@contextmanager
def cluster(workers: int) -> Iterator[tuple[str, psutil.Process]]:
    """Start a scheduler and workers of one thread each; yield address and process of the scheduler."""
    settings = {**cluster_settings(), "logging.distributed": "critical"}
    del settings["distributed.worker.preload"]  # loads libraries that these tasks do not use
    with dask.config.set(settings):
        handed_on = dask.config.serialize(dask.config.global_config)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([os.getcwd(), *sys.path]),
                   "DASK_INTERNAL_INHERIT_CONFIG": handed_on}
    with ExitStack() as stack, tempfile.TemporaryDirectory() as scratch:
        def start(module: str, *options: str) -> psutil.Process:
            process = subprocess.Popen([sys.executable, "-m", f"distributed.cli.{module}", "--host", "127.0.0.1",
                                        "--no-dashboard", *options], env=environment)
            stack.callback(process.wait)
            stack.callback(process.kill)
            return psutil.Process(process.pid)

        file = Path(scratch) / "scheduler.json"
        scheduler = start("dask_scheduler", "--port", "0", "--scheduler-file", str(file))
        while not file.exists() or not file.read_text():
            time.sleep(0.1)
        address: str = json.loads(file.read_text())["address"]
        for _ in range(workers):
            start("dask_worker", address, "--no-nanny", "--nthreads", "1", "--local-directory", scratch)
        yield address, scheduler


def measure(sources: int, workers: int, parts: int, folder: Path) -> Measured:
    """Drive stub sources through a real cluster."""
    from distributed import Client

    with cluster(workers) as (address, scheduler), Client(address, set_as_default=False) as client:
        client.wait_for_workers(workers)
        config = RunConfig()
        engine, store = Counting(client, config), Store.create(folder / "corpus", Config().identity())
        marks: list[Mark] = []
        began = time.perf_counter()

        def look(progress: Progress | None = None) -> None:
            done = tracker.files_done
            if done >= sources * (len(marks) + 1) // MARKS:
                known = client.run_on_scheduler(lambda dask_scheduler: len(dask_scheduler.tasks))
                marks.append(Mark(done, time.perf_counter() - began, _mb(psutil.Process()), _mb(scheduler),
                                  store.spent_s, known))
                print(marks[-1], file=sys.stderr, flush=True)

        tracker = Tracker(look)
        with stub.stubbed():
            reports = Driver(engine, store, stub.SPEC, False, tracker).run(stub.works(sources, store.root, parts))
        look()
        _check(reports, sources, store)
        return Measured(sources, tracker.tasks, workers, config.in_flight, engine.most, time.perf_counter() - began,
                        marks)


def _check(reports: Iterable[SourceReport], sources: int, store: CorpusStore) -> None:
    if [report.status for report in reports] != ["done"] * sources or len(store.manifest().sources) != sources:
        raise SystemExit("some sources were not ingested")


def _mb(process: psutil.Process) -> float:
    return float(process.memory_info().rss / 1e6)


def show(measured: Measured) -> None:
    """Print the tables."""
    heading(f"Driver: {measured.sources:,} sources whose tasks do nothing", "distributed")
    rows, before = [], Mark(0, 0.0, 0.0, 0.0, 0.0, 0)
    for mark in measured.marks:
        seconds, count = mark.elapsed_s - before.elapsed_s, mark.sources - before.sources
        share = (mark.published_s - before.published_s) / seconds
        rows.append((f"{mark.sources:,}", f"{1e3 * seconds / count:.2f}", f"{share:.1%}", f"{mark.client_mb:,.0f}",
                     f"{mark.scheduler_mb:,.0f}", mark.scheduler_tasks))
        before = mark
    table(("sources done", "ms per source", "time share of writing the manifest", "client, MB", "scheduler, MB",
           "tasks that the scheduler knows"), rows)
    last, first = measured.marks[-1], measured.marks[0]
    client_kb, scheduler_kb = (1e3 * (getattr(last, name) - getattr(first, name)) / (last.sources - first.sources)
                               for name in ("client_mb", "scheduler_mb"))
    print()
    table(("what", "measured", "bound"), [
        ("most tasks in flight per worker thread", f"{measured.most_in_flight / measured.slots:g}",
         measured.in_flight),
        ("client memory, largest change since the first tenth", f"{measured.growth('client_mb'):+.1%}", "±10 %"),
        ("client memory, KB per source (lines of the manifest, and its report)", f"{client_kb:.2f}", ""),
        ("scheduler memory, largest change since the first tenth", f"{measured.growth('scheduler_mb'):+.1%}", "±10 %"),
        ("scheduler memory, KB per source", f"{scheduler_kb:.2f}", ""),
        ("ms per task that does nothing (client, scheduler and workers on these cores)",
         f"{1e3 * measured.task_s:.2f}", ""),
        (f"share of the time of {measured.slots} worker threads that is lost with tasks of {TASK_S:g} s (computed)",
         f"{measured.lost:.2%}", "5 %"),
        (f"worker threads kept busy with tasks of {TASK_S:g} s (computed: {TASK_S:g} s / ms per task)",
         f"{TASK_S / measured.task_s:,.0f}", ""),
    ])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sources", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--parts", type=int, default=1, help="scan tasks per source")
    parser.add_argument("--folder", type=Path, help="where the manifest is written; default: a temporary folder")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
        measured = measure(options.sources, options.workers, options.parts, Path(scratch))
    if options.json:
        print(json.dumps({**asdict(measured), "client_growth": measured.growth("client_mb"),
                          "scheduler_growth": measured.growth("scheduler_mb"), "lost": measured.lost}))
    else:
        show(measured)


if __name__ == "__main__":
    main()
