"""Limits of hits per file and per MHz, compared with a naive choice from the list of all hits."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import QueryError
from pipeline.model import CoarseLayout, Hit, Window
from pipeline.search import Corpus, SearchResult
from pipeline.search.correlate import WEIGHT
from pipeline.search.limits import HitLimits
from tests.search.conftest import CONFIG, FINE, SPEC, Made, unit

SOURCES = [f"GBT_59000_{i}_{letter}" for i, letter in enumerate("ABCDE")]
LIMITS = [(1, None), (2, None), (None, 1), (None, 3), (2, 2), (1, 4)]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """Corpus of five sources whose bands cross whole MHz. Neighbouring windows are alike. Most best hits are of the
    query's own source.
    """
    made = Made(tmp_path_factory.mktemp("limits") / "corpus", CONFIG.override({"scan": {"step": 8}}))
    for i, name in enumerate(SOURCES):
        rng = np.random.default_rng(i)
        numbers = np.flatnonzero(rng.random(240) < 0.7)
        walk = np.cumsum(rng.normal(size=(len(numbers), SPEC.dimension)) * 0.2, axis=0)
        header = replace(FINE, foff_mhz=-0.002, fch1_mhz=1531.7 + i % 3)  # 2 MHz wide
        made.add(name, numbers, unit(walk / (1 + i) + 3), header=header, coarse=CoarseLayout(1024, "flag"))
    made.index(SOURCES[0], SOURCES[3])
    return made.open()


@pytest.fixture(scope="module")
def all_hits(corpus: Corpus) -> dict[int, dict[str, SearchResult]]:
    """Row → window → all hits of a search for it, for windows of two sources."""
    windows = {row: [f"{name}/{corpus._corpus.numbers(name)[row]}" for name in (SOURCES[0], SOURCES[4])]
               for row in (3, 90)}
    return {row: {window: corpus.search(window=window, k=10_000) for window in some} for row, some in windows.items()}


def naive(hits: Sequence[Hit], k: int, per_file: int | None, per_mhz: int | None) -> list[tuple]:
    """Go down the list of all hits, and take each hit that the limits allow."""
    chosen: list[Hit] = []
    for hit in hits:
        of_file = [one for one in chosen if one.source_id == hit.source_id]
        of_mhz = [one for one in chosen if int(one.window.f_start_mhz) == int(hit.window.f_start_mhz)]
        if (per_file is None or len(of_file) < per_file) and (per_mhz is None or len(of_mhz) < per_mhz):
            chosen.append(hit)
    return told(chosen[:k])


def told(hits: Sequence[Hit] | SearchResult) -> list[tuple]:
    return [(hit.source_id, hit.window.number, hit.merged, hit.score) for hit in hits]


@pytest.mark.parametrize(("per_file", "per_mhz"), LIMITS)
@pytest.mark.parametrize("few", [False, True])
@pytest.mark.parametrize("row", [3, pytest.param(90, marks=pytest.mark.slow)])
def test_equals_a_naive_choice_from_all_hits(
    corpus: Corpus, all_hits: dict[int, dict[str, SearchResult]], monkeypatch: pytest.MonkeyPatch, per_file: int | None,
    per_mhz: int | None, row: int, few: bool
) -> None:
    if few:  # few windows are fetched at a time, so a search takes several rounds
        monkeypatch.setattr("pipeline.search.best_hits.MIN_FETCHED_WINDOWS", 3)
        monkeypatch.setattr("pipeline.search.best_hits.FETCHED_PER_HIT", 1)
        monkeypatch.setattr("pipeline.search.best_hits.NEIGHBOUR_REACH", 1)
    for window, hits in all_hits[row].items():
        for k in (1, 4, 9, 1000):
            result = corpus.search(window=window, k=k, per_file=per_file, per_mhz=per_mhz)
            assert told(result) == naive(hits, k, per_file, per_mhz)
            assert [hit.rank for hit in result] == list(range(1, len(result) + 1))


@pytest.mark.parametrize(("per_file", "per_mhz"), LIMITS)
@pytest.mark.parametrize("order", [{"rerank": True}, {"near_frequency": 2.0}])
def test_another_order_keeps_the_limits_and_finds_as_many(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch, per_file: int | None, per_mhz: int | None, order: dict
) -> None:
    monkeypatch.setattr("pipeline.search.reorder.MIN_REORDERED_HITS", 3)  # the limits leave too few of three hits
    window = f"{SOURCES[0]}/{corpus._corpus.numbers(SOURCES[0])[3]}"
    plain = corpus.search(window=window, k=4, per_file=per_file, per_mhz=per_mhz)
    result = corpus.search(window=window, k=4, per_file=per_file, per_mhz=per_mhz, **order)
    assert len(result) == len(plain) > 1
    files = Counter(hit.source_id for hit in result)
    mhz = Counter(math.floor(hit.window.f_start_mhz) for hit in result)
    assert max(files.values()) <= (per_file or 4)
    assert max(mhz.values()) <= (per_mhz or 4)
    if "rerank" in order:
        both = [(1 - WEIGHT) * hit.score + WEIGHT * hit.match.correlation for hit in result if hit.match]
        assert both == sorted(both, reverse=True)
        assert len(both) == len(result)


def test_without_a_limit_a_reordered_list_is_what_it_was(corpus: Corpus) -> None:
    asked = {"window": f"{SOURCES[0]}/{corpus._corpus.numbers(SOURCES[0])[3]}", "rerank": True}
    assert told(corpus.search(**asked, per_file=1000, per_mhz=1000)) == told(corpus.search(**asked))


places = st.tuples(st.sampled_from("ABC"), st.sampled_from([1.0, 1.5, 2.0, 2.9, 3.0]))


@given(hits=st.lists(places), k=st.integers(1, 8), per_file=st.none() | st.integers(1, 3),
       per_mhz=st.none() | st.integers(1, 3))
def test_what_is_picked_is_told_with_what_is_full(
    hits: list[tuple[str, float]], k: int, per_file: int | None, per_mhz: int | None
) -> None:
    windows = [Window(name, i, 0, 1, 0, 1, f_mhz, f_mhz + 1, 0, 1, 0) for i, (name, f_mhz) in enumerate(hits)]
    picked, seen, full = HitLimits(per_file, per_mhz).pick(
        windows, k, lambda window: (window.f_start_mhz, [window.source_id]))
    assert [window.number for window in picked] == sorted(window.number for window in picked)
    files, mhz = Counter(w.source_id for w in picked), Counter(int(w.f_start_mhz) for w in picked)
    assert full.sources == {name for name, count in files.items() if count == per_file}
    assert full.mhz == {number for number, count in mhz.items() if count == per_mhz}
    assert len(picked) <= k
    if len(picked) < k:
        assert seen == len(windows)
        for window in windows:
            assert window in picked or window.source_id in full.sources or int(window.f_start_mhz) in full.mhz
    else:
        assert picked[-1] is windows[seen - 1]


def test_a_note_says_why_there_are_fewer_hits_than_asked_for(corpus: Corpus) -> None:
    window = f"{SOURCES[0]}/{corpus._corpus.numbers(SOURCES[0])[3]}"
    assert "note" not in corpus.search(window=window, k=2, per_file=1).query
    fewer = corpus.search(window=window, k=99, per_file=1, per_mhz=50)
    assert fewer.query["note"] == f"{len(fewer)} hits, not 99: the limits (1 a file and 50 a MHz) leave no more"
    assert "note" not in corpus.search(window=window, k=10_000).query, "there are not so many"
    assert "note" not in corpus.search(window=window, k=10_000, per_file=5000).query


@pytest.mark.parametrize("limit", [{"per_file": 0}, {"per_mhz": -1}])
def test_a_limit_below_one_is_refused(limit: dict[str, int]) -> None:
    with pytest.raises(QueryError, match=f"{next(iter(limit))} must be at least 1, got {next(iter(limit.values()))}"):
        HitLimits(**limit)


def test_a_hit_from_several_sources_counts_for_each_of_them() -> None:
    hits = [(1.0, ["A", "B"]), (1.0, ["B"]), (1.0, ["C", "A"]), (1.0, ["C"])]
    picked, seen, full = HitLimits(per_file=1).pick(hits, 3, lambda hit: hit)
    assert (picked, seen, full.sources) == ([hits[0], hits[3]], 4, {"A", "B", "C"})
