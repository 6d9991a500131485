"""Runs that tests disturb, and checks that must pass whatever happens to these runs."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import CorpusNotFound
from pipeline.integrity import verify
from pipeline.search import open_corpus
from pipeline.store import CorpusStore
from tests.cluster.deaths import Server
from tests.cluster.places import first_window
from tests.run.small import COARSE, assert_same_corpus, contents, write_scan

WORKS = ("create", "ingest", "compact")


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@dataclass(frozen=True)
class Case:
    """A run to disturb."""

    work: str
    before: Path
    """The corpus before the run."""
    data: Path
    after: Path
    """The corpus after the run, if nothing disturbs it."""
    calls: dict[str, int]

    def run(self, server: Server, root: Path, **how: Any) -> dict[str, Any]:
        return server.run("compact" if self.work == "compact" else "ingest", root, self.data, **how)


@pytest.fixture(scope="session", params=WORKS)
def case(request: pytest.FixtureRequest, server: Server, tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp(request.param)
    data, before, after = folder / "data", folder / "before", folder / "after"
    before.mkdir()
    data.mkdir()
    for scan_no in range({"create": 1, "ingest": 1, "compact": 4}[request.param]):
        write_scan(data / f"scan{scan_no}.h5", scan_no, nchans=COARSE)
        if request.param != "create":
            assert server.run("ingest", before, data)["error"] == ""
            assert server.run("index", before)["error"] == ""
    if request.param == "ingest":
        write_scan(data / "scan1.fil", 1, nchans=COARSE)
    shutil.copytree(before, after)
    case = Case(request.param, before, data, after, {})
    case.calls.update(case.run(server, after)["calls"])
    segments = CorpusStore.open(after).manifest().segments
    assert len(segments) == {"create": 0, "ingest": 1, "compact": 1}[request.param]
    return case


def spread(count: int, most: int | None) -> list[int]:
    """Return numbers from 1 to ``count``: all, or at most ``most`` of them at even distances."""
    return sorted({int(n) for n in np.linspace(1, count, min(count, most or count)).round()})


def names(root: Path) -> set[str]:
    """Return all paths in some folders of a corpus. Folders whose files each run numbers anew are left out."""
    return {str(path.relative_to(root)) for kind in ("sources", "vectors", "index", "staging")
            for path in (root / kind).rglob("*")}


def answers(root: Path) -> list[tuple[str, float]]:
    corpus = open_corpus(root)
    return [(str(hit.window), round(hit.score, 3)) for hit in corpus.search(window=first_window(root), k=5)]


def assert_opens(root: Path, case: Case) -> None:
    """Assert that the last generation is complete and searchable, and holds all that the corpus held before the run."""
    try:
        held = contents(root)
    except CorpusNotFound:
        assert case.work == "create", "there was one"
        return
    before = contents(case.before).keys() if case.work != "create" else set()
    assert before <= held.keys()
    if held.keys() - {"files"}:
        assert answers(root)


def assert_completed(root: Path, case: Case, server: Server) -> None:
    """Assert that the same run, started again, ends as if nothing had disturbed it."""
    again = case.run(server, root)
    assert (again["status"], again["error"]) == (0, "")
    assert_same_corpus(root, case.after)
    assert names(root) == names(case.after)
    assert CorpusStore.open(root).manifest().segments == CorpusStore.open(case.after).manifest().segments
    assert answers(root) == answers(case.after)
    assert not verify(root).damages
