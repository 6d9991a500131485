"""The runs of the machine, by name. Each is what a user can start; the arguments are values of JSON."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

from pipeline.config import IndexConfig
from pipeline.integrity import verify
from pipeline.nightly import nightly
from pipeline.run import embed, index, ingest, remove, upgrade
from pipeline.tasks import Probed
from tests.machine.scans import CONFIG
from tests.run import fake

CHANGES = {"ingest": 800, "embed": 150, "index": 220, "remove": 30, "undo": 50, "nightly": 900, "repair": 150}
"""Work → number of changes of the disk (:mod:`tests.machine.forked`) of a large one of this kind."""
LIMITS: Sequence[Mapping[str, Any]] = [
    {"exact_below": 1, "segment_vectors": 1000}, {"exact_below": 1, "segment_vectors": 9},
    {"exact_below": 6, "segment_vectors": 12}, {"exact_below": 1, "segment_vectors": 9, "compact": False},
    {"exact_below": 1, "segment_vectors": 8, "routed_from": 10},
]
"""Settings of the index: one segment, several, some vectors in none, segments that are never joined, and cells."""


@dataclass(frozen=True)
class Place:
    """The folders of an example."""

    folder: Path

    @property
    def root(self) -> Path:
        return self.folder / "corpus"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def reports(self) -> Path:
        return self.folder / "reports"


@contextmanager
def clock(ahead_s: float) -> Iterator[None]:
    """Make the clock of this machine wrong by some seconds, for the package alone.

    The timers of Dask follow ``time.time``. A cluster of this process would hang after a clock that goes back.
    """
    with mock.patch("pipeline.support.clock.time", SimpleNamespace(time=lambda: time.time() + ahead_s)):
        yield


def _ingest(place: Place) -> Any:
    return ingest([place.data], place.root, config=CONFIG, serial=True)


def _embed(place: Place) -> Any:
    return embed(place.root, encoder=fake.PLAIN, config=CONFIG, serial=True)


def _index(place: Place, **limits: Any) -> Any:
    return index(place.root, config=replace(CONFIG, index=IndexConfig(**limits)))


def _remove(place: Place, names: list[str]) -> Any:
    return remove(names, place.root)


def _undo(place: Place, names: list[str]) -> Any:
    return remove(names, place.root, undo=True)


def _nightly(place: Place) -> Any:
    """Do a night. A step that fails raises nothing: it is in the report alone."""
    report = nightly([place.data], place.root, report_dir=place.reports, min_age_s=0.0, config=CONFIG, serial=True)
    assert report.exit_code == 0, (report.steps, report.wrong, report.missing, dict(report.verified))
    return report


def _repair(place: Place) -> Any:
    return verify(place.root, repair=True, serial=True)


def _upgrade(place: Place) -> Any:
    return upgrade(place.root)


WORKS: Mapping[str, Callable[..., Any]] = {
    "ingest": _ingest, "embed": _embed, "index": _index, "remove": _remove, "undo": _undo, "nightly": _nightly,
    "repair": _repair, "upgrade": _upgrade,
}


def perform(work: str, place: Place, ahead_s: float, **details: Any) -> Any:
    """Do one of :data:`WORKS` while the clock is wrong by some seconds, and return its result."""
    with clock(ahead_s):
        return WORKS[work](place, **details)


def scan_without_store(probed: Any, staging: Path) -> None:
    """Scan a file as an ingest does, and commit nothing."""
    from pipeline.grid.tiling import Tiling
    from pipeline.run import parts_of
    from pipeline.tasks import Work, scan_part

    assert isinstance(probed, Probed)
    tiling = Tiling(probed.source.header, CONFIG.scan.grid, probed.source.coarse)
    work = Work(corpus=staging, staging=staging, source=probed.source, also_at=(), root=staging, scan=CONFIG.scan,
                encoder=CONFIG.encoder, identity="", parts=tuple((p.start, p.stop) for p in parts_of(tiling)))
    assert scan_part(work, 0).windows_kept > 0
