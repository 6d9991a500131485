"""The time that the driver takes for many sources. Tasks do nothing, and the test sets the clock."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import stub
from pipeline.catalogue import Manifest
from pipeline.execute.engine import Outcome, SerialEngine
from pipeline.run import driver, task_sizes
from pipeline.run.driver import PUBLISH_S, PUBLISH_SHARE, Driver
from pipeline.run.progress import Tracker

TASK_S = 0.1


class Clock:
    now = 0.0


class Timed(SerialEngine):
    """Each task takes a tenth of a second."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def wait(self) -> list[Outcome]:
        self._clock.now += TASK_S
        return super().wait()


class Store:
    """A store that takes ``publish_s`` to publish a manifest."""

    def __init__(self, clock: Clock, publish_s: float) -> None:
        self.manifest, self.published = Manifest(), list[float]()
        self._clock, self._publish_s = clock, publish_s

    def publish(self, change: Callable[[Manifest], Manifest]) -> None:
        self.manifest = change(self.manifest)
        self.published.append(self._clock.now)
        self._clock.now += self._publish_s


@pytest.fixture
def see_through(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Store, list[Any]]]:
    def seen_through(count: int, publish_s: float) -> tuple[Store, list[Any]]:
        clock = Clock()
        monkeypatch.setattr(driver, "time", SimpleNamespace(monotonic=lambda: clock.now))
        store: Any = Store(clock, publish_s)
        with stub.stubbed():
            reports = Driver(Timed(clock), store, stub.SPEC, False, Tracker(None)).run(stub.works(count, Path("/gone")))
        return store, reports

    return seen_through


def test_every_source_is_published_with_its_vectors_and_its_file(see_through: Callable[..., Any]) -> None:
    store, reports = see_through(50, 0.0)
    works = stub.works(50, Path("/gone"))
    assert [report.source_id for report in reports] == [work.source.id for work in works]
    assert {report.status for report in reports} == {"done"}
    assert list(store.manifest.sources) == [work.source.id for work in works]
    assert [dict(entry.vectors) for entry in store.manifest.sources.values()] == 50 * [{stub.SPEC.key: stub.KEPT}]
    assert {path: entry.source_id for path, entry in store.manifest.files.items()} == {
        work.source.path: work.source.id for work in works}


@pytest.mark.parametrize(("publish_s", "pause_s"), [(0.01, PUBLISH_S), (3.0, 3.0 / PUBLISH_SHARE)])
def test_the_longer_a_manifest_takes_to_write_the_rarer_it_is_written(
    see_through: Callable[..., Any], publish_s: float, pause_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(task_sizes, "SHARED_SOURCES", 1)  # so that a source ends every few tasks
    store, _ = see_through(700, publish_s)
    *published, _ = store.published  # the last one is the end
    pauses = [after - before - publish_s for before, after in pairwise(published)]
    assert published[0] == pytest.approx(PUBLISH_S, abs=2 * TASK_S)
    assert len(pauses) >= 3
    assert pauses == pytest.approx([pause_s] * len(pauses), abs=2 * TASK_S)


def test_a_manifest_is_copied_a_few_times_a_publish_not_a_few_times_a_source(
    see_through: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    made, really = 0, Manifest.__init__

    def counted(self: Manifest, *arguments: Any, **fields: Any) -> None:
        nonlocal made
        made += 1
        really(self, *arguments, **fields)

    monkeypatch.setattr(Manifest, "__init__", counted)
    monkeypatch.setattr(task_sizes, "SHARED_SOURCES", 1)
    store, _ = see_through(300, 1000.0)  # so long that it happens twice
    assert len(store.published) == 2
    assert made <= 1 + 4 * len(store.published)
