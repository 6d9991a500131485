"""A corpus grows, is indexed, loses sources and gets them back, in any order. Searches agree with brute force."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.config import IndexConfig
from pipeline.index import build
from pipeline.index import segment as segment_module
from pipeline.run import index, remove
from pipeline.run.preconditions import put_in_order
from pipeline.search.nearest import nearest
from pipeline.search.selection import Selection
from pipeline.search.snapshot import OpenCorpus
from pipeline.store import source_folder, vector_folder
from pipeline.support import durable
from tests.search.conftest import CONFIG, SPEC, Made, unit

Live = dict[tuple[str, int], np.ndarray]
"""What a search may find: (source, window number) → its vector as stored."""
Found = list[tuple[float, tuple[str, int]]]
"""Scores and windows, best first."""
DAY_S = 86_400.0
QUERIES, K = 3, 12
NAMES = [f"GBT_59000_{i:02d}" for i in range(5)]
"""Names of sources. There are few, so a removed source often comes back, with other windows."""


def brute_force(live: Live, queries: np.ndarray, k: int) -> Found:
    """Return the ``k`` best windows, each with its best score with any query, in float64."""
    scores = {window: max(float(v @ q / np.sqrt((v @ v) * (q @ q))) for q in queries) for window, v in live.items()}
    return sorted(((score, window) for window, score in scores.items()), reverse=True)[:k]


def searched(opened: OpenCorpus, queries: np.ndarray, *, exact: bool) -> Found:
    resolutions = frozenset(entry.resolution for entry in opened.manifest.sources.values())
    selection = Selection.of(opened, SPEC.key, resolutions)
    found = nearest(selection, queries, K, exact=exact)
    return [(float(score), (selection.source_ids[i], int(number)))
            for score, i, number in zip(found.score, found.source, found.number, strict=True)]


def assert_same(found: Found, expected: Found) -> None:
    assert [window for _, window in found] == [window for _, window in expected]
    np.testing.assert_allclose([s for s, _ in found], [s for s, _ in expected], rtol=0, atol=1e-6)


@dataclass
class Pinned:
    """A generation that was opened some time ago, and what it held."""

    opened: OpenCorpus
    live: Live


class Life:
    """A corpus, and beside it a dictionary of what it holds."""

    def __init__(self, root: Path, seed: int, limits: IndexConfig) -> None:
        self.made, self.root, self.limits = Made(root), root, limits
        self.now = 1_000_000.0
        self.rng = np.random.default_rng(seed)
        self.live: dict[str, Live] = {}
        self.removed: dict[str, tuple[float, Live]] = {}
        """Removed source → time of the removal, and its windows, which come back if that is undone within a day."""
        self.pinned: list[Pinned] = []

    def time(self) -> float:
        return self.now

    def pick(self, names: Sequence[str]) -> str | None:
        return names[self.rng.integers(len(names))] if names else None

    def add(self, count: int | None = None) -> None:
        name = self.pick([name for name in NAMES if name not in self.live and name not in self.removed])
        if name is None:
            return
        count = int(self.rng.integers(2, 30)) if count is None else count
        numbers = self.rng.permutation(4 * 30)[:count]
        vectors = unit(self.rng.normal(size=(count, SPEC.dimension)))
        self.made.add(name, numbers, vectors)
        stored = vectors.astype(np.float16).astype(np.float64)
        self.live[name] = {(name, int(number)): v for number, v in zip(numbers, stored, strict=True)}

    def index(self) -> None:
        index(self.root, config=replace(CONFIG, index=self.limits))

    def index_without_joining(self) -> None:
        index(self.root, config=replace(CONFIG, index=replace(self.limits, compact=False)))

    def remove(self) -> None:
        if (name := self.pick(sorted(self.live))) is not None:
            remove([name], self.root)
            self.removed[name] = self.now, self.live.pop(name)

    def take_back(self) -> None:
        if (name := self.pick(sorted(self.removed))) is not None:
            since, rows = self.removed.pop(name)
            (back,) = remove([name], self.root, undo=True)
            assert back.is_held or self.now - since >= DAY_S, "a day of grace at least; a clock may have jumped"
            if back.is_held:
                self.live[name] = rows

    def vanish(self) -> None:
        """Delete folders of a source, as a user might do by hand."""
        if (name := self.pick(sorted(self.live))) is not None:
            shutil.rmtree(source_folder(self.root, name))
            shutil.rmtree(vector_folder(self.root, SPEC.key, name))
            put_in_order(self.made.store)
            del self.live[name]
            self.pinned.clear()

    def wait(self) -> None:
        self.now += DAY_S
        self.pinned.clear()

    def pin(self) -> None:
        if self.live:
            self.pinned.append(Pinned(OpenCorpus(self.root), self.all_live()))

    def all_live(self) -> Live:
        return {window: vector for rows in self.live.values() for window, vector in rows.items()}

    def queries(self) -> np.ndarray:
        return unit(self.rng.normal(size=(QUERIES, SPEC.dimension)))

    def check(self) -> None:
        """Compare searches in the current generation and in all opened earlier ones with brute force."""
        live, opened = self.all_live(), OpenCorpus(self.root)
        assert set(opened.manifest.sources) == set(self.live)
        assert set(opened.manifest.removed) == set(self.removed)
        indexed = [source_id for segment in opened.manifest.segments for source_id in segment.live_ids]
        assert len(indexed) == len(set(indexed)), "no source is looked for in two segments"
        for segment in opened.manifest.segments:
            assert segment.live_count == sum(len(self.live[source_id]) for source_id in segment.live_ids)
        for one in [Pinned(opened, live), *self.pinned]:
            if one.live:
                queries = self.queries()
                assert_same(searched(one.opened, queries, exact=True), brute_force(one.live, queries, K))


EVENTS = ["add", "add", "add", "index", "index", "index_without_joining", "remove", "take_back", "vanish", "vanish",
          "wait", "pin"]


@contextmanager
def life(seed: int, limits: IndexConfig) -> Iterator[tuple[Life, pytest.MonkeyPatch]]:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(durable, "_sync", lambda *_: None)
        one = Life(Path(folder, "corpus"), seed, limits)
        patch.setattr("pipeline.support.clock.time", one)
        yield one, patch


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.sampled_from(EVENTS), min_size=4, max_size=20), st.integers(0, 2**16),
       st.sampled_from([IndexConfig(1, 60), IndexConfig(25, 60), IndexConfig(1, 1000)]))
def test_whatever_happens_a_scan_finds_what_brute_force_finds(
    events: list[str], seed: int, limits: IndexConfig
) -> None:
    with life(seed, limits) as (one, _):
        for event in ("add", "add", *events):
            getattr(one, event)()
            one.check()
        one.index()
        one.check()


@pytest.mark.timeout(400)  # building a graph compiles for up to two minutes, once a session
def test_whatever_happens_a_graph_finds_almost_all_of_it_and_nothing_that_is_gone() -> None:
    with life(3, IndexConfig(exact_below=100, segment_vectors=1000)) as (one, patch):
        patch.setattr(build, "MIN_GRAPH_VECTORS", 64)
        patch.setattr(segment_module, "SCANNED_PER_NEIGHBOUR", 0)  # walk the graph, however few rows are alive
        graphs, dead, agree, asked = 0, 0, 0, 0
        for event in ("add", "add", "index", "remove", "add", "add", "index", "remove", "take_back", "add", "index",
                      "vanish", "add", "wait", "index", "remove"):
            one.add(90) if event == "add" else getattr(one, event)()
            live, opened = one.all_live(), OpenCorpus(one.root)
            graphs += sum(opened.segment(entry.id).has_graph for entry in opened.manifest.segments)
            dead += sum(bool(entry.dead) for entry in opened.manifest.segments)
            for _ in range(5):
                queries = one.queries()
                found, expected = searched(opened, queries, exact=False), brute_force(live, queries, K)
                truth = dict((window, score) for score, window in brute_force(live, queries, len(live)))
                assert len(found) == len(expected)
                for score, window in found:
                    assert score == pytest.approx(truth[window], abs=1e-6)
                agree += len({window for _, window in found} & {window for _, window in expected})
                asked += len(expected)
        assert graphs >= 10
        assert dead >= 4
        assert agree >= 0.95 * asked
