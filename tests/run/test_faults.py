"""Ingest while workers or the run die, or while the disk is full. Moments are random, with fixed seeds."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from pipeline.errors import Reason, RunError
from pipeline.execute.dask_settings import cluster_settings
from pipeline.run import Progress, ingest, task_sizes
from pipeline.store import CorpusStore
from tests.run.small import COARSE, archive, assert_same_corpus, by_name, config, contents
from tests.run.workers import (
    are_gone,
    environment,
    gpu_worker,
    ingest_command,
    preload,
    preloaded,
    slowly,
    started,
    wait_until,
    worker_processes,
)

PRELOAD = "DASK_DISTRIBUTED__WORKER__PRELOAD"


# --- workers -------------------------------------------------------------------------------------------------------


class Killer:
    """A listener that kills a worker of the embedded cluster each time a number of windows has been seen."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._moments = sorted(self._random.sample(range(0, 6 * 64, 16), 3))
        self._others = worker_processes(psutil.Process())
        self.killed = 0

    def __call__(self, progress: Progress) -> None:
        mine = sorted(worker_processes(psutil.Process()) - self._others, key=lambda worker: worker.pid)
        if progress.stage == "scan" and self._moments and progress.windows_seen >= self._moments[0] and mine:
            self._moments.pop(0)
            self._random.choice(mine).kill()
            self.killed += 1


def test_killed_workers_are_survived(
    good: Path, undisturbed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_sizes, "PART_CHANNELS", COARSE)
    killer = Killer(seed=1)
    with preloaded(slowly(tmp_path, 0.1)):
        report = ingest([good], tmp_path / "corpus", config=config(), progress=killer)
    assert killer.killed == 3
    assert [r.status for r in report.reports] == ["done"] * 6
    assert_same_corpus(tmp_path / "corpus", undisturbed)


def test_files_that_crash_their_worker_each_time_fail_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One crashes it as its header is read, another as its samples are. Each ends one worker, then one alone."""
    monkeypatch.setattr("pipeline.execute.cluster.cluster_settings",
                        lambda: {**cluster_settings(), "distributed.scheduler.allowed-failures": 0})
    data = archive(tmp_path / "data", 4)
    for scan_no, name in ((0, "header.h5"), (2, "samples.h5")):
        (data / f"scan{scan_no}.h5").rename(data / name)
    crashing = [preload(tmp_path, "open_filterbank", "if str(a[0]).endswith('header.h5'): os._exit(11)"),
                preload(tmp_path, "_scan_part", "if a[0].source.path.endswith('samples.h5'): os._exit(11)")]
    with preloaded(*crashing):
        report = ingest([data], tmp_path / "corpus", config=config())
    found = by_name(report)
    assert {name: (r.status, r.reason) for name, r in found.items()} == {
        "header.h5": ("failed", Reason.CRASHED), "samples.h5": ("failed", Reason.CRASHED),
        "scan1.fil": ("done", None), "scan3.h5": ("done", None)}
    assert report.exit_code == 3
    assert "every worker that ran it died" in found["samples.h5"].message
    assert found["samples.h5"].message.startswith(str(data / "samples.h5"))
    # with a mended library, the files can be read
    report = ingest([data], tmp_path / "corpus", config=config(), serial=True)
    assert {by_name(report)[name].status for name in ("header.h5", "samples.h5")} == {"done"}
    assert len(CorpusStore.open(tmp_path / "corpus").manifest().sources) == 4


def test_a_gpu_worker_embeds_and_where_it_vanishes_the_run_stops_and_the_next_goes_on(
    cluster: Any, client: Any, good: Path, undisturbed: Path, tmp_path: Path
) -> None:
    root, embedded = tmp_path / "corpus", tmp_path / "embedded"
    embedded.mkdir()
    with gpu_worker(cluster) as worker:
        client.run(count_embeds, str(embedded))
        ingest([good / "scan0.h5"], root, client, config=config(embed_on="gpu"))
        assert [path.name for path in embedded.iterdir()] == [str(worker.pid)]

        def vanish(progress: Progress) -> None:
            if progress.windows_seen and worker.poll() is None:
                worker.kill()

        with pytest.raises(RunError, match="for 1 s no worker could run what is left to do"):
            ingest([good], root, client, config=config(embed_on="gpu", resource_wait_s=1.0), progress=vanish)
    assert not list((root / "staging").iterdir())
    client.run(count_embeds, "")
    report = ingest([good], root, client, config=config())
    assert {(r.status, r.reason) for r in report.reports} == {("done", None), ("skipped", None)}
    assert_same_corpus(root, undisturbed)


def count_embeds(folder: str) -> None:
    """Let a worker write its process id into ``folder`` when it embeds. An empty ``folder`` ends this."""
    from pipeline.tasks import PartReport, embed

    really = getattr(embed.embed_parts, "really", embed.embed_parts)

    def embed_parts(*arguments: Any) -> list[PartReport]:
        Path(folder, str(os.getpid())).touch()
        return really(*arguments)

    embed_parts.really = really  # type: ignore[attr-defined]
    embed.embed_parts = embed_parts if folder else really


# --- whole runs ----------------------------------------------------------------------------------------------------


def run(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, cwd=folder, env=environment(), capture_output=True, text=True, check=False)


def scanned_on_disk(root: Path) -> set[str]:
    return {path.name for path in (root / "sources").glob("*")}


def complete_on_disk(root: Path) -> set[str]:
    return scanned_on_disk(root) & {path.name for path in (root / "vectors").glob("*/*")}


def count(root: Path, pattern: str) -> int:
    return sum(1 for _ in root.glob(pattern))


def run_to_the_end(data: Path, root: Path, folder: Path) -> dict[str, Any]:
    done = run(ingest_command(data, root), folder)
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


MOMENTS = ["staging/*", "staging/*/*/group-*", "sources/*", "vectors/*/*"]
"""Patterns of paths that appear during a run. The run is killed a moment after one of them appears."""


def test_a_run_killed_at_any_moment_leaves_a_corpus_that_the_next_completes(
    good: Path, undisturbed: Path, tmp_path: Path
) -> None:
    root, chance = tmp_path / "corpus", random.Random(1)
    inodes: dict[str, int] = {}
    killed = 0
    for pattern in chance.sample(MOMENTS, 3):
        before = set(root.glob(pattern))
        with started(ingest_command(good, root), tmp_path, **{PRELOAD: slowly(tmp_path, 0.2)}) as process:
            while before.issuperset(root.glob(pattern)) and process.poll() is None:
                time.sleep(0.002)
            time.sleep(chance.uniform(0, 0.1))
            with suppress(ProcessLookupError):  # the run has ended already
                os.killpg(process.pid, signal.SIGKILL)
            killed += process.wait() == -signal.SIGKILL
        held = contents(root)  # the corpus opens, and all objects of its manifest are complete
        assert held.keys() - {"files"} <= scanned_on_disk(root)
        inodes = {source_id: (root / "sources" / source_id).stat().st_ino for source_id in scanned_on_disk(root)}
    complete = complete_on_disk(root)

    assert killed >= 2, "else the moments come too late"

    report = run_to_the_end(good, root, tmp_path)
    assert {r["source"] for r in report["sources"] if r["status"] == "skipped"} == complete
    assert {r["message"] for r in report["sources"] if r["status"] == "skipped"} <= {"already in the corpus"}
    of_new = 1 + 4 * (6 - len(inodes)) if len(inodes) < 6 else 0
    # slices that wait at the same time share a task
    assert report["tasks"] <= of_new + 2 * (len(inodes) - len(complete))
    assert {source_id: (root / "sources" / source_id).stat().st_ino for source_id in inodes} == inodes
    assert not list((root / "staging").iterdir())
    assert_same_corpus(root, undisturbed)


@pytest.mark.parametrize("to_all", [True, pytest.param(False, marks=pytest.mark.slow)], ids=["terminal", "kill-INT"])
def test_an_interrupted_run_says_so_leaves_no_process_and_goes_on_later(
    to_all: bool, good: Path, undisturbed: Path, tmp_path: Path
) -> None:
    root = tmp_path / "corpus"
    with started(ingest_command(good, root), tmp_path, **{PRELOAD: slowly(tmp_path, 0.3)}) as process:
        wait_until(lambda: count(root, "sources/*") > 0)
        family = worker_processes(psutil.Process(process.pid))
        assert len(family) >= 2
        if to_all:
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the workers get it too
        else:
            process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=90)
        assert (process.returncode, out) == (130, "")
        *progress, last = err.strip().splitlines()  # a slow machine tells of the progress before
        assert all(re.match(r"(probe|scan|embed|commit|index): ", line) for line in progress if line), err
        saved = re.fullmatch(r"lookalike: interrupted; (nothing is finished yet|1 source is saved|\d+ sources are "
                             r"saved)\. Run the command again to continue", last)
        assert saved is not None, err
        published = len(CorpusStore.open(root).manifest().sources)
        assert int((re.findall(r"\d+", saved[1]) or ["0"])[0]) == published
        wait_until(lambda: are_gone(family), seconds=5)
    assert not list((root / "staging").iterdir())
    ingest([good], root, config=config(), serial=True)
    assert_same_corpus(root, undisturbed)


def test_workers_do_not_outlive_a_run_that_is_killed(good: Path, tmp_path: Path) -> None:
    with started(ingest_command(good, tmp_path / "corpus"), tmp_path, **{PRELOAD: slowly(tmp_path, 0.2)}) as process:
        wait_until(lambda: count(tmp_path, "corpus/staging/*") > 0)
        family = worker_processes(psutil.Process(process.pid))
        process.kill()
        process.wait()
        wait_until(lambda: are_gone(family), seconds=10)


def test_two_runs_at_once_are_one_too_many(good: Path, tmp_path: Path) -> None:
    root = tmp_path / "corpus"
    with started(ingest_command(good, root, workers=1), tmp_path, **{PRELOAD: slowly(tmp_path, 0.2)}) as first:
        wait_until(lambda: count(root, "staging/*") > 0)
        first.send_signal(signal.SIGSTOP)  # otherwise it may be done before the second one has begun
        second = run(ingest_command(good, root, serial=True), tmp_path)
        first.send_signal(signal.SIGCONT)
        assert (second.returncode, second.stdout) == (4, "")
        assert f"locked by process {first.pid} on {socket.gethostname()} since " in second.stderr
        out, err = first.communicate(timeout=90)
        assert first.returncode == 0, err
        assert {r["status"] for r in json.loads(out)["sources"]} == {"done"}


# --- the disk ------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[tuple[Path, Callable[[str], None]]]:
    """Yield a tiny file system, and a function that makes it larger."""
    disk = tmp_path / "disk"
    disk.mkdir()

    def mount(*options: str) -> subprocess.CompletedProcess[str]:
        return run(["mount", "-t", "tmpfs", "-o", *options, "tmpfs", str(disk)], tmp_path)

    done = mount("size=200k")
    if done.returncode != 0:
        pytest.skip(f"needs a small file system, and none may be mounted here: {done.stderr.strip()}")
    yield disk, lambda size: mount(f"remount,size={size}").check_returncode()
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("where", ["serial", "cluster"])
def test_a_full_disk_stops_the_run_with_a_message_and_with_room_the_next_completes(
    small_disk: tuple[Path, Callable[[str], None]], good: Path, undisturbed: Path, client: Any, tmp_path: Path,
    where: str,
) -> None:
    disk, resize = small_disk
    root = disk / "corpus"
    held: list[int] = []
    for kilobytes in (100, 200, *range(240, 1000, 20)):  # until some sources are saved
        resize(f"{kilobytes}k")
        with pytest.raises(RunError, match=r"corpus: cannot be written \(.*No space left on device.*\); make room"):
            ingest([good], root, client, config=config(), serial=where == "serial")
        held.append(len(contents(root)) - 1)  # it opens, and what it names is whole
        if held[-1]:
            break
    assert held == sorted(held)
    # one after another, sources are saved one by one; tasks side by side may save all windows before vectors fail
    assert 0 < held[-1] < (6 if where == "serial" else 7), "some, not all"
    resize("50m")
    report = ingest([good], root, client, config=config())
    assert report.exit_code == 0
    assert not list((root / "staging").iterdir())
    assert_same_corpus(root, undisturbed)


def test_the_command_says_that_the_disk_is_full(
    small_disk: tuple[Path, Callable[[str], None]], good: Path, tmp_path: Path
) -> None:
    done = run(ingest_command(good, small_disk[0] / "corpus", serial=True), tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"lookalike: {small_disk[0] / 'corpus'}: cannot be written")
    assert len(done.stderr.splitlines()) == 1
