"""Where many small sources wait, they share tasks. The corpus is the same, and a bad source fails alone."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import stub
from pipeline import tasks
from pipeline.errors import Reason
from pipeline.execute.engine import SerialEngine
from pipeline.run import ingest, task_sizes
from pipeline.run.driver import Driver
from pipeline.run.progress import Tracker
from pipeline.run.task_sizes import PART_CHANNELS, SHARED_SOURCES, share_of
from pipeline.store import CorpusStore
from pipeline.views import is_plain
from tests.run.small import SCAN, archive, assert_same_corpus, config
from tests.run.stored import manifest


class Recorded(SerialEngine):
    """Records the tasks and the number of their sources."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[str, int]] = []

    def submit(self, ticket: Any, task: Any, *arguments: Any, on_gpu: bool = False) -> None:
        self.calls.append((task.__name__, len(ticket[1])))
        super().submit(ticket, task, *arguments)


@given(st.lists(st.integers(1, 2), max_size=40), st.integers(1, 10), st.integers(0, 2000))
def test_a_share_is_of_sources_of_one_part_and_leaves_work_for_all(
    parts: list[int], capacity: int, more: int
) -> None:
    works = [stub.works(1, Path("/gone"), count)[0] for count in parts]
    share = share_of(works, len(works) + more, capacity)
    assert share != 1
    assert all(len(work.parts) == 1 for work in works[:share])
    assert sum(work.source.header.nchans for work in works[:share]) <= PART_CHANNELS
    assert share <= SHARED_SOURCES
    assert share * capacity <= len(works) + more, "each worker gets one"


def see_through(root: Path, count: int, parts: int = 1) -> tuple[Recorded, list[Any]]:
    engine, store = Recorded(), CorpusStore.create(root, config().identity())
    return engine, Driver(engine, store, stub.SPEC, False, Tracker(None)).run(stub.works(count, root, parts))


def test_small_sources_share_tasks_and_the_last_ones_do_not(tmp_path: Path) -> None:
    with stub.stubbed():
        engine, reports = see_through(tmp_path / "corpus", 100)
    assert [report.status for report in reports] == ["done"] * 100
    shares = [count for name, count in engine.calls if name == "scan_whole"]
    assert shares == sorted(shares, reverse=True)
    assert (shares[0], shares[-1]) == (SHARED_SOURCES, 2)
    alone = engine.calls.count(("scan_part", 1))
    assert sum(shares) + alone == 100
    assert 0 < alone < 2 * task_sizes.SHARES_LEFT
    embedded = [count for name, count in engine.calls if name == "embed_whole"]
    assert (max(embedded), sum(embedded)) == (1024 // stub.KEPT, 100 - engine.calls.count(("commit_vectors", 1)))
    assert {report.windows_kept for report in reports} == {report.windows_embedded for report in reports} == {stub.KEPT}


def test_sources_of_several_parts_share_no_scan(tmp_path: Path) -> None:
    with stub.stubbed():
        engine, _ = see_through(tmp_path / "corpus", 40, parts=2)
    assert engine.calls.count(("scan_part", 1)) == 80
    assert not [name for name, _ in engine.calls if name == "scan_whole"]


@pytest.mark.parametrize("task", ["scan_whole", "embed_whole"])
def test_a_task_that_dies_is_tried_source_by_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, task: str
) -> None:
    with stub.stubbed(), monkeypatch.context() as patch:  # undone before the stubs are
        bad = stub.works(30, tmp_path)[7].source.id
        really = getattr(tasks, task)

        def dying(*arguments: Any) -> Any:
            sources = [work.source.id for work in arguments[0]] if task == "scan_whole" else [
                piece.source_id for pieces, _ in arguments[2] for piece in pieces]
            if bad in sources:
                raise MemoryError("too much")
            return really(*arguments)

        dying.__name__ = task
        patch.setattr(tasks, task, dying)
        engine, reports = see_through(tmp_path / "corpus", 30)
    failed = [report for report in reports if report.status != "done"]
    assert [(report.source_id, report.reason) for report in failed] == [(bad, Reason.CRASHED)]
    assert len(reports) == 30
    assert (task, 1) in engine.calls


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(task_sizes, "SHARES_LEFT", 1)


def test_the_corpus_is_the_same(undisturbed: Path, good: Path, tmp_path: Path, shared: None) -> None:
    report = ingest([good], tmp_path / "corpus", config=config(), serial=True)
    assert report.exit_code == 0
    assert report.tasks < 2 * len(report.reports)
    assert_same_corpus(tmp_path / "corpus", undisturbed)
    assert not list((tmp_path / "corpus" / "staging").iterdir())


def test_views_share_tasks_with_their_scans(
    tmp_path: Path, shared: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, settings = archive(tmp_path / "data", 6), config(replace(SCAN, views=("f4", "f16")))
    report = ingest([data], tmp_path / "shared", config=settings, serial=True)
    monkeypatch.setattr(task_sizes, "SHARES_LEFT", 1000)
    alone = ingest([data], tmp_path / "alone", config=settings, serial=True)
    assert report.exit_code == alone.exit_code == 0
    assert report.tasks < 2 * 6 < alone.tasks
    assert len(manifest(tmp_path / "shared").sources) == 3 * 6
    assert_same_corpus(tmp_path / "shared", tmp_path / "alone")
    assert not list((tmp_path / "shared" / "staging").iterdir())


def test_a_run_that_dies_between_views_that_share_a_task_leaves_all_views_or_none(
    tmp_path: Path, shared: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, settings = archive(tmp_path / "data", 4), config(replace(SCAN, views=("f4", "f16")))
    ingest([data], tmp_path / "whole", config=settings, serial=True)
    root, rename, left = tmp_path / "corpus", os.rename, [0]

    def dies(old: Any, new: Any, *more: Any, **options: Any) -> None:
        if Path(old).name.startswith("group-"):
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt
        rename(old, new, *more, **options)

    monkeypatch.setattr(os, "rename", dies)
    seen = set()
    for step in range(1, 13):
        left[0] = step
        with pytest.raises(KeyboardInterrupt):
            ingest([data], root, config=settings, serial=True)
        folders = {path.name for path in (root / "sources").iterdir()}
        scans = {name for name in folders if is_plain(name)}
        assert {f"{name}+{view}" for name in scans for view in ("f4", "f16")} <= folders
        seen.add(len(folders))
        shutil.rmtree(root)
    assert seen == set(range(12))
    left[0] = 10
    with pytest.raises(KeyboardInterrupt):
        ingest([data], root, config=settings, serial=True)
    assert ingest([data], root, config=settings, serial=True).exit_code == 0
    assert_same_corpus(root, tmp_path / "whole")


def test_a_source_that_is_bad_fails_alone(
    tmp_path: Path, shared: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = archive(tmp_path / "data", 4)
    really = tasks.scan_whole

    def damaging(works: tuple[tasks.Work, ...]) -> Any:
        (data / "scan3.h5").write_bytes(b"changed since it was probed")
        done = really(works)
        for work in works:
            if "scan1" in work.source.path:
                shutil.rmtree(work.corpus / "sources" / work.source.id / "cutout")
        return done

    monkeypatch.setattr(tasks, "scan_whole", damaging)
    report = ingest([data], tmp_path / "corpus", config=config(), serial=True)
    assert {Path(one.path).stem: one.status for one in report.reports} == {
        "scan0": "done", "scan1": "failed", "scan2": "done", "scan3": "skipped"}
    held = manifest(tmp_path / "corpus").sources
    assert len(held) == 2
    assert all(np.sum(list(entry.vectors.values())) == entry.windows_kept > 0 for entry in held.values())
