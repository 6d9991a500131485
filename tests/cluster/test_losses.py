"""Any process is killed or hangs, at any moment. The run recovers by itself, and its corpus is the same as always."""

from __future__ import annotations

import os
import random
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from pipeline.errors import Reason
from pipeline.execute import cluster
from pipeline.run import Progress, RunReport, ingest
from pipeline.store import CorpusStore
from tests.cluster.soak import IS_SOAK, TIMES, note
from tests.cluster.supervised import Services, supervised
from tests.run.small import assert_same_corpus, by_name, config, write_scan
from tests.run.workers import are_gone, ingest_command, preload, preloaded, slowly, started, worker_processes

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(7200 if IS_SOAK else 600)]

RECOVERY_S = 60.0


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    folder = tmp_path_factory.mktemp("services")
    with supervised(folder, slowly(folder, 1.0)) as services:
        yield services


class Later:
    """Does something at a moment of a run, and notes when. Does nothing if the run ends first."""

    def __init__(self, delay_s: float, action: Callable[[], object]) -> None:
        self._action = action
        self._timer = threading.Timer(delay_s, self._act)
        self.at: float | None = None
        self._timer.start()

    def _act(self) -> None:
        self.at = time.monotonic()
        self._action()

    def cancel(self) -> bool:
        """Cancel the action; return whether it was done already."""
        self._timer.cancel()
        self._timer.join()
        return self.at is not None


def run(services: Services, data: Path, root: Path) -> RunReport:
    circumstances = {"scheduler": services.address, "insecure": True, "embed_on": "gpu", "resource_wait_s": RECOVERY_S}
    return ingest([data], root, config=config(**circumstances))


@pytest.mark.parametrize("victim", ["worker", "GPU worker", "scheduler"])
def test_a_run_survives_the_death_of(
    victim: str, services: Services, data: Path, reference: Path, tmp_path: Path
) -> None:
    chance = random.Random(f"{victim} {TIMES}")
    began = time.monotonic()
    run(services, data, tmp_path / "undisturbed")
    length = time.monotonic() - began
    killed, slowest = 0, 0.0
    for attempt in range(4 * TIMES):
        root = tmp_path / f"{attempt}"
        services.wait_for_workers()
        moment = chance.uniform(0, length)
        later = Later(moment, services.services[victim].process.kill)
        report = run(services, data, root)
        ended = time.monotonic()
        if later.cancel() and later.at is not None:
            killed += 1
            slowest = max(slowest, ended - later.at)
        assert [(r.status, r.message) for r in report.reports] == [("done", "")] * 3, moment
        assert slowest < RECOVERY_S, moment
        assert_same_corpus(root, reference)
        if killed == TIMES:
            break
    assert killed == TIMES
    note(f"SIGKILL of the {victim}" if victim != "worker" else "SIGKILL of a worker", killed, slowest_s=slowest)


def test_a_run_whose_driver_is_killed_is_completed_by_the_next(
    services: Services, data: Path, reference: Path, tmp_path: Path
) -> None:
    chance, killed, slowest = random.Random(f"driver {TIMES}"), 0, 0.0
    for attempt in range(4 * TIMES):
        root = tmp_path / f"{attempt}"
        services.wait_for_workers()
        command = [word for word in ingest_command(data, root) if word not in ("--workers", "2")]
        where = ["--scheduler", services.address, "--insecure"]
        with started([*command, *where, "--embed-on", "gpu"], tmp_path) as process:
            deadline = time.monotonic() + 60
            while not list(root.glob("staging/*")) and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(chance.uniform(0, 4))
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            killed += process.wait() == -signal.SIGKILL
        began = time.monotonic()
        report = run(services, data, root)
        slowest = max(slowest, time.monotonic() - began)
        assert report.exit_code == 0
        assert slowest < RECOVERY_S
        assert_same_corpus(root, reference)
        assert not list((root / "staging").iterdir())
        if killed == TIMES:
            break
    assert killed == TIMES
    note("SIGKILL of the driver, then a rerun", killed, slowest_s=slowest)


def test_a_worker_that_stops_is_done_without(services: Services, data: Path, reference: Path, tmp_path: Path) -> None:
    """The scheduler gives up a worker that has been silent for ``worker-ttl`` (15 s here)."""
    run(services, data, tmp_path / "undisturbed")
    stopped = services.services["worker"].process
    later = Later(0.7, lambda: stopped.send_signal(signal.SIGSTOP))
    try:
        began = time.monotonic()
        report = run(services, data, tmp_path / "corpus")
        assert time.monotonic() - began < RECOVERY_S
    finally:
        assert later.cancel()
        stopped.kill()
    assert [(r.status, r.message) for r in report.reports] == [("done", "")] * 3
    assert_same_corpus(tmp_path / "corpus", reference)


def test_a_worker_of_a_runs_own_cluster_that_stops_is_replaced(
    data: Path, reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "MAX_WORKER_SILENCE_S", 8.0)
    others = worker_processes(psutil.Process())
    stopped: list[psutil.Process] = []

    def stop(progress: Progress) -> None:
        mine = worker_processes(psutil.Process()) - others
        if progress.windows_seen and not stopped and mine:
            stopped.append(min(mine, key=lambda one: one.pid))
            stopped[0].suspend()

    with preloaded(slowly(tmp_path, 0.3)):
        report = ingest([data], tmp_path / "corpus", config=config(), progress=stop)
    assert stopped
    assert are_gone(set(stopped))
    assert [(r.status, r.message) for r in report.reports] == [("done", "")] * 3
    assert_same_corpus(tmp_path / "corpus", reference)


def test_a_source_that_hangs_its_worker_fails_alone_with_the_reason(
    data: Path, tmp_path: Path, reference: Path
) -> None:
    files = Path(shutil.copytree(data, tmp_path / "data"))
    write_scan(files / "hangs.h5", 50)
    hanging = preload(tmp_path, "_scan_part", "if a[0].source.path.endswith('hangs.h5'): time.sleep(3600)")
    began = time.monotonic()
    with preloaded(hanging):
        # a run gives up if no task ends for five time limits; workers must be back before, even on a busy machine
        report = ingest([files], tmp_path / "corpus", config=config(task_timeout_s=10.0, resource_wait_s=RECOVERY_S))
    assert time.monotonic() - began < 3 * RECOVERY_S
    found = by_name(report)
    hung = found.pop("hangs.h5")
    assert (hung.status, hung.reason, report.exit_code) == ("failed", Reason.CRASHED, 3)
    assert "takes longer than task_timeout_s (10 s)" in hung.message
    assert {(r.status, r.message) for r in found.values()} == {("done", "")}


def test_two_sources_that_kill_their_workers_fail_alone_those_with_a_gpu_too(
    data: Path, tmp_path: Path
) -> None:
    files = Path(shutil.copytree(data, tmp_path / "data"))
    for n in range(3):
        write_scan(files / f"other{n}.h5", 60 + n)
    killers = [CorpusStore.open(ingested).manifest().files[str(files / name)].source_id for ingested, name in (
        (serially(files, tmp_path / "known"), "scan0.h5"), (tmp_path / "known", "other1.h5"))]
    body = f"if any(piece.source_id in {killers!r} for piece in a[2]): os.abort()"
    folder = tmp_path / "services"
    folder.mkdir()
    with supervised(folder, preload(folder, "_encoded", body)) as services:
        report = run(services, files, tmp_path / "corpus")
    found = by_name(report)
    assert {name: (r.status, r.reason) for name, r in found.items() if r.status != "done"} == {
        name: ("failed", Reason.CRASHED) for name in ("scan0.h5", "other1.h5")}
    assert len(found) == 6
    starts = services.services["GPU worker"].starts
    # each killer is tried twice beside others and twice alone, and so is each task that it shared with other sources
    assert 1 + 2 * 2 <= starts <= 1 + 2 * (4 + 4), "each try costs one worker, and tries are few"
    assert report.exit_code == 3


def serially(data: Path, root: Path) -> Path:
    assert ingest([data], root, config=config(), serial=True).exit_code == 0
    return root
