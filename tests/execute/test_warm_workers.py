"""Graphs on workers that find all code compiled. There, numba starts its threads before it compiles anything itself.

When numba compiles in a worker, it reads its settings again. That would hide a limit of threads that was set too late.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from pipeline.index import Segment
from pipeline.integrity import verify
from pipeline.run import index, ingest
from pipeline.store import CorpusStore, segment_folder, source_folder
from tests.run import jobs
from tests.run.damages import CONFIG, flip
from tests.run.small import archive
from tests.run.workers import LOOPBACK, command, started

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # each graph takes half a minute, the first some more


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of files with enough windows for a graph."""
    return archive(tmp_path_factory.mktemp("warm") / "data", 5)


@pytest.fixture(scope="module")
def made(data: Path) -> Path:
    """Corpus with a graph. Its compiled code is kept, as after ``lookalike warm-up``."""
    root = data.parent / "corpus"
    ingest([data], root, config=CONFIG, serial=True)
    index(root, config=CONFIG)
    assert segment_of(root).has_graph
    return root


@pytest.fixture(autouse=True)
def _nobody_has_said_how_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)


def segment_of(root: Path) -> Segment:
    (entry,) = CorpusStore.open(root).manifest().segments
    return Segment.open(segment_folder(root, entry.id))


def test_a_worker_started_by_hand_builds_a_graph_after_a_scan(made: Path, data: Path, tmp_path: Path) -> None:
    from distributed import Client, LocalCluster

    root = tmp_path / "corpus"
    quiet = {"dashboard_address": f"{LOOPBACK}:0", "scheduler_kwargs": {"dashboard": False}}
    with LocalCluster(n_workers=0, host=LOOPBACK, **quiet) as cluster, Client(cluster, set_as_default=False) as client:
        worker = [sys.executable, "-m", "distributed.cli.dask_worker", cluster.scheduler_address, "--host", LOOPBACK,
                  "--nworkers", "1", "--nthreads", "1", "--memory-limit", "2GB", "--no-dashboard",
                  "--dashboard-address", f"{LOOPBACK}:0", "--preload", "pipeline.execute.preload_worker"]
        with started(worker, tmp_path):
            client.wait_for_workers(1, timeout=90)
            ingest([data], root, client, config=CONFIG)
            pid = client.run(jobs.worker_pid)
            assert list(client.run(jobs.has_loaded, "pynndescent").values()) == [False]
            index(root, client, config=CONFIG)
            assert list(client.run(jobs.has_loaded, "pynndescent").values()) == [True]
            assert client.run(jobs.worker_pid) == pid
    assert segment_of(root).has_graph


def test_a_runs_own_worker_rebuilds_a_graph_after_a_scan(made: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(made, tmp_path / "corpus"))
    manifest = CorpusStore.open(root).manifest()
    damaged = {("source", min(manifest.sources)), ("segment", manifest.segments[0].id)}
    flip(source_folder(root, min(manifest.sources)) / "group.json")
    flip(segment_folder(root, manifest.segments[0].id) / "vectors.npy")
    assert {(one.kind, one.id) for one in verify(root).damages} == damaged
    with started(command("verify", "--corpus", root, "--repair", "--workers", "1"), tmp_path) as process:
        said, errors = process.communicate()
    assert process.returncode == 0, said + errors
    assert verify(root).damages == ()
    assert segment_of(root).has_graph
