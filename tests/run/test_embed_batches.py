"""On a GPU, embed tasks take windows of several sources; the vectors are the same."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import stub
from pipeline import tasks
from pipeline.errors import Reason
from pipeline.execute.engine import SerialEngine
from pipeline.model import WindowGrid
from pipeline.run import ingest, task_sizes
from pipeline.run.driver import Driver
from pipeline.run.progress import Tracker
from pipeline.run.task_sizes import EMBED_PIECES, batch_of
from pipeline.store import CorpusStore
from tests.run.small import archive, assert_same_corpus, config
from tests.run.stored import manifest

ROOM = task_sizes.GPU_EMBED_BYTES // (16 * 256)


@given(st.lists(st.integers(0, 2 * ROOM), max_size=100), st.integers(1, EMBED_PIECES))
def test_a_batch_is_as_large_as_fits_and_never_empty(counts: list[int], most: int) -> None:
    taken, is_full = batch_of(counts, WindowGrid(), most, task_sizes.GPU_EMBED_BYTES)
    assert taken == max((n for n in range(1, min(most, len(counts)) + 1) if n == 1 or sum(counts[:n]) <= ROOM),
                        default=0)
    could_grow = taken < most and sum(counts[:taken]) < ROOM
    assert is_full == (bool(counts) and not (could_grow and taken == len(counts)))


class Recorded(SerialEngine):
    """Pretends to have a GPU, and records the sizes of embed tasks."""

    offers_gpu = True

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    def submit(self, ticket: Any, task: Any, *arguments: Any, on_gpu: bool = False) -> None:
        if on_gpu:
            self.sizes.append(len(arguments[2]))
        super().submit(ticket, task, *arguments)


def see_through(root: Path, count: int) -> tuple[Recorded, list[Any]]:
    engine, store = Recorded(), CorpusStore.create(root, config().identity())
    return engine, Driver(engine, store, stub.SPEC, True, Tracker(None)).run(stub.works(count, root))


def test_small_sources_share_tasks(tmp_path: Path) -> None:
    with stub.stubbed():
        engine, reports = see_through(tmp_path / "corpus", 120)
    assert [report.status for report in reports] == ["done"] * 120
    assert ROOM > EMBED_PIECES * stub.KEPT
    assert engine.sizes == [EMBED_PIECES, 120 - EMBED_PIECES]


def test_a_batch_that_dies_whole_is_tried_source_by_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with stub.stubbed(), monkeypatch.context() as patch:  # undone before the stubs are
        bad = stub.works(30, tmp_path)[7].source.id
        really = tasks.embed_parts

        def dying(work: tasks.Work, spec: Any, pieces: tuple[tasks.Piece, ...]) -> Any:
            if any(piece.source_id == bad for piece in pieces):
                raise MemoryError("too much")
            return really(work, spec, pieces)

        patch.setattr(tasks, "embed_parts", dying)
        engine, reports = see_through(tmp_path / "corpus", 30)
    failed = [report for report in reports if report.status != "done"]
    assert [(report.source_id, report.reason) for report in failed] == [(bad, Reason.CRASHED)]
    assert sorted(engine.sizes) == [1] * 30 + [30]


def test_the_corpus_is_the_same_and_a_damaged_source_fails_alone(
    undisturbed: Path, good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SerialEngine, "offers_gpu", True)
    sizes, really = [], tasks.embed_parts

    def noted(work: tasks.Work, spec: Any, pieces: tuple[tasks.Piece, ...]) -> Any:
        sizes.append(len(pieces))
        return really(work, spec, pieces)

    monkeypatch.setattr(tasks, "embed_parts", noted)
    ingest([good], tmp_path / "corpus", config=config(), serial=True)
    assert max(sizes) > 1
    assert_same_corpus(tmp_path / "corpus", undisturbed)

    data = archive(tmp_path / "data", 3)
    commit = tasks.commit_windows

    def damaging(work: tasks.Work, report: Any) -> Any:
        done = commit(work, report)
        if "scan1" in work.source.path:
            shutil.rmtree(work.corpus / "sources" / work.source.id / "cutout")
        return done

    monkeypatch.setattr(tasks, "commit_windows", damaging)
    report = ingest([data], tmp_path / "other", config=config(), serial=True)
    assert {Path(one.path).stem: one.status for one in report.reports} == {
        "scan0": "done", "scan1": "failed", "scan2": "done"}
    assert len(manifest(tmp_path / "other").sources) == 2
