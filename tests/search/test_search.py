"""Searches of synthetic corpora, compared with brute force in float64."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from pipeline.errors import QueryError
from pipeline.index import Segment
from pipeline.model import CoarseLayout, Hit, Window
from pipeline.search import SearchResult
from pipeline.search import answer as corpus_module
from pipeline.search.merge import Candidate, merge

from .conftest import CONFIG, FINE, SPEC, Made, unit

A, B, C = (f"GBT_59000_{i}_{letter}" for i, letter in enumerate("ABC"))


def brute_force(made: Made, source_id: str, number: int, sources: Sequence[str]) -> list[tuple[float, str, int]]:
    """Return (score, source, number) of every window that does not overlap the query, by descending score."""
    row = int(np.flatnonzero(made.numbers[source_id] == number)[0])
    query = made.vectors[source_id][row]
    found = []
    for other in sources:
        for candidate, vector in zip(made.numbers[other], made.vectors[other], strict=True):
            if (other, candidate) != (source_id, number):
                cosine = vector @ query / np.sqrt((vector @ vector) * (query @ query))
                found.append((float(cosine), other, int(candidate)))
    return sorted(found, key=lambda f: (-f[0], f[1], f[2]))


def expected_hits(made: Made, source_id: str, number: int, sources: Sequence[str]
                  ) -> list[tuple[str, int, tuple[int, ...]]]:
    """Return the hits that brute force finds among all windows."""
    found = brute_force(made, source_id, number, sources)
    merged = merge([Candidate(score, made.tiling(source).window(source, n), 0) for score, source, n in found])
    return [(one.best.window.source_id, one.best.window.number, one.others) for one in merged]


def told(result: SearchResult) -> list[tuple[str, int, tuple[int, ...]]]:
    return [(hit.source_id, hit.window.number, hit.merged) for hit in result]


@pytest.mark.parametrize("indexed", [(), (A,), (A, C), (A, B, C)])
def test_equals_brute_force_whatever_is_indexed(fill: Callable[..., Made], indexed: tuple[str, ...]) -> None:
    made = fill(count=60)
    if indexed:
        made.index(*indexed)
    corpus = made.open()
    for number in made.numbers[B][:5]:
        result = corpus.search(window=f"{B}/{number}", k=7)
        assert told(result) == expected_hits(made, B, number, (A, B, C))[:7]
        truth = {(source, n): score for score, source, n in brute_force(made, B, number, (A, B, C))}
        for hit in result:
            assert hit.score == pytest.approx(truth[hit.source_id, hit.window.number], abs=1e-6)


def test_indexing_changes_no_answer(fill: Callable[..., Made]) -> None:
    before, after = fill("before", count=60), fill("after", count=60)
    after.index(A)
    after.index(B, C)
    for number in before.numbers[A][:10]:
        for exact in (False, True):
            answers = [made.open().search(window=f"{A}/{number}", k=12, exact=exact) for made in (before, after)]
            assert list(answers[0]) == list(answers[1])


def test_a_process_that_ends_after_one_search_scans_what_is_not_too_much(
    fill: Callable[..., Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = fill(count=60)
    made.index(A, B, C)
    asked = []
    search = Segment.search
    monkeypatch.setattr(Segment, "search", lambda *a, **k: (asked.append(k["exact"]), search(*a, **k))[1])
    number = made.numbers[A][0]
    for most, is_exact in ((1000, True), (10, False)):
        monkeypatch.setattr(corpus_module, "MAX_ONE_SHOT_VECTORS", most)
        result = made.open().search(window=f"{A}/{number}", k=3, one_shot=True)
        assert (result.query["exact"], asked.pop()) == (is_exact, is_exact)


@pytest.mark.timeout(400)  # building a graph compiles for up to two minutes, once a session
def test_graph_and_exact_search_score_a_row_the_same(make: Callable[..., Made]) -> None:
    made = make()
    rng = np.random.default_rng(5)
    for i, source_id in enumerate((A, B, C)):
        numbers = rng.permutation(120)
        centres = unit(rng.normal(size=(12, SPEC.dimension)))
        vectors = unit(centres[np.arange(120) % 12] + 0.2 * rng.normal(size=(120, SPEC.dimension)))
        made.add(source_id, numbers, vectors, header=replace(FINE, source_name=f"T{i}"))
    made.index(A, B, C)
    corpus = made.open()
    assert corpus._corpus.segment(f"{A}-{B}-{C}").has_graph
    agree = 0
    for number in made.numbers[A][:20]:
        graph, exact = (corpus.search(window=f"{A}/{number}", k=5, exact=exact) for exact in (False, True))
        scores = {(hit.source_id, hit.window.number): hit.score for hit in exact}
        agree += len([hit for hit in graph if scores.get((hit.source_id, hit.window.number)) == hit.score])
        assert told(exact) == expected_hits(made, A, number, (A, B, C))[:5]
    assert agree >= 95


def test_hits_say_where_and_what(fill: Callable[..., Made]) -> None:
    made = fill()
    number = int(made.numbers[A][0])
    result = made.open().search(window=f"{A}/{number}", k=3)
    assert [hit.rank for hit in result] == [1, 2, 3]
    assert all(a.score >= b.score for a, b in pairwise(result))
    for hit in result:
        row = int(np.flatnonzero(made.numbers[hit.source_id] == hit.window.number)[0])
        assert hit.snr == made.snr[hit.source_id][row]
        assert hit.window == made.tiling(hit.source_id).window(hit.source_id, hit.window.number)
        assert (hit.file, hit.target, hit.telescope_id) == (f"/gone/{hit.source_id}.h5", "VOYAGER1", 6)


def test_result_is_a_sequence_and_json(fill: Callable[..., Made]) -> None:
    made = fill()
    number = int(made.numbers[A][0])
    result = made.open().search(window=f"{A}/{number}", k=4)
    assert len(result) == 4
    assert isinstance(result[0], Hit)
    assert result[1:3] == tuple(result)[1:3]
    record = json.loads(json.dumps(result.to_json(), allow_nan=False))
    assert list(record) == ["query", "corpus", "not_searched", "verdict", "background", "hits"]
    assert record["query"]["source"] == A
    assert record["query"]["window"] == number
    assert record["corpus"] == {"windows": 300, "vectors": 120, "searched": 120, "sources": 3, "generation": 3}
    assert record["hits"] == [hit.to_json() for hit in result]


def test_the_query_is_not_among_its_hits_but_its_neighbour_may_be(make: Callable[..., Made]) -> None:
    made = make()
    same = unit(np.ones((4, SPEC.dimension)))
    made.add(A, [5, 6, 30, 66], same)  # 66 is what 5 is in the second time block
    result = made.open().search(window=f"{A}/5")
    assert told(result) == [(A, 6, (66,)), (A, 30, ())]


def test_overlapping_windows_of_the_query_are_left_out(make: Callable[..., Made]) -> None:
    made = make(config=CONFIG.override({"scan": {"step": 4}}))
    made.add(A, range(20), unit(np.ones((20, SPEC.dimension))))
    hits = made.open().search(window=f"{A}/8")
    shown = {number for hit in hits for number in (hit.window.number, *hit.merged)}
    assert shown == {*range(0, 5), *range(12, 20)}


def test_says_so_where_all_that_was_searched_overlaps_the_query(make: Callable[..., Made]) -> None:
    made = make()
    made.add(A, [3, 64], unit(np.ones((2, SPEC.dimension))))
    f = FINE.channel_edge_mhz
    result = made.open().search(file=A, f_start_mhz=f(48), f_stop_mhz=f(64))
    assert len(result) == 0
    assert result.query["windows"] == 2
    assert result.query["note"].endswith("no hits: of 2 signals searched, all overlap the query and are left out")
    assert "no hits" not in made.open().search(window=f"{A}/3").query.get("note", "")  # finds the other time block


def test_fewer_hits_than_asked_for(fill: Callable[..., Made]) -> None:
    made = fill(sources="A", count=8)
    result = made.open().search(window=f"{A}/{made.numbers[A][0]}", k=100)
    assert sum(1 + len(hit.merged) for hit in result) == 7


def test_goes_deeper_until_there_are_enough_hits(make: Callable[..., Made]) -> None:
    """The best 391 windows are one chain of touching windows. Any fifty of them alone look like several hits."""
    made = make(config=CONFIG.override({"scan": {"step": 2}}))
    n = 400
    vectors = unit(np.ones((n, SPEC.dimension)) + 1e-3 * np.random.default_rng(0).normal(size=(n, SPEC.dimension)))
    made.add(A, range(n), vectors, coarse=CoarseLayout(1024, "flag"))
    far = unit(np.eye(SPEC.dimension)[:6] + 0.3)
    made.add(B, range(0, 120, 20), far)
    result = made.open().search(window=f"{A}/0", k=5)
    assert [hit.source_id for hit in result] == [A, B, B, B, B]
    assert sum(1 + len(hit.merged) for hit in result if hit.source_id == A) == n - 8  # without overlaps with the query


@pytest.mark.parametrize("seed", range(4))
def test_hits_do_not_depend_on_how_many_candidates_are_fetched(
    make: Callable[..., Made], monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Neighbouring windows are alike, so most hits consist of many windows. Some of these are not fetched at first."""
    made = make(config=CONFIG.override({"scan": {"step": 8}}))
    rng = np.random.default_rng(seed)
    for source_id in (A, B):
        numbers = np.flatnonzero(rng.random(240) < 0.8)
        walk = np.cumsum(rng.normal(size=(len(numbers), SPEC.dimension)) * 0.25, axis=0)
        made.add(source_id, numbers, unit(walk + rng.normal(size=SPEC.dimension)))
    made.index(B)
    monkeypatch.setattr("pipeline.search.best_hits.MIN_FETCHED_WINDOWS", 3)
    monkeypatch.setattr("pipeline.search.best_hits.FETCHED_PER_HIT", 1)
    monkeypatch.setattr("pipeline.search.best_hits.NEIGHBOUR_REACH", 1)
    corpus = made.open()
    for number in made.numbers[A][::40]:
        query = made.tiling(A).window(A, int(number))
        found = [f for f in brute_force(made, A, number, (A, B)) if f[1] != A or not _overlap(made, f[2], query)]
        merged = merge([Candidate(score, made.tiling(s).window(s, n), 0) for score, s, n in found])
        expected = [(one.best.window.source_id, one.best.window.number, one.others) for one in merged]
        for k in (1, 4, 1000):
            assert told(corpus.search(window=f"{A}/{number}", k=k)) == expected[:k]


def _overlap(made: Made, number: int, query: Window) -> bool:
    window = made.tiling(A).window(A, number)
    return abs(window.channel_start - query.channel_start) < 16 and window.spectrum_start == query.spectrum_start


@pytest.mark.parametrize("sources", ["A", "AB"])
def test_more_hits_only_add_to_fewer(fill: Callable[..., Made], sources: str) -> None:
    made = fill(sources=sources, count=45)
    corpus = made.open()
    number = made.numbers[A][3]
    all_of_them = told(corpus.search(window=f"{A}/{number}", k=12))
    assert told(corpus.search(window=f"{A}/{number}", k=4)) == all_of_them[:4]


def test_searches_its_own_resolution_class_unless_asked(make: Callable[..., Made]) -> None:
    made = make()
    rng = np.random.default_rng(0)
    for source_id, tsamp_s in ((A, 18.25), (B, 18.26), (C, 1.07)):
        vectors = unit(rng.normal(size=(10, SPEC.dimension)))
        made.add(source_id, range(0, 20, 2), vectors, header=replace(FINE, tsamp_s=tsamp_s))
    made.index(A)
    made.index(C)
    corpus = made.open()
    own = corpus.search(window=f"{A}/0", k=30)
    assert {hit.source_id for hit in own} == {A, B}
    assert own.query["resolutions"] == ["2.794Hz-18.25s"]
    assert own.query["resolutions_left_out"] == ["2.794Hz-1.07s"]
    everything = corpus.search(window=f"{A}/0", k=30, all_resolutions=True)
    assert {hit.source_id for hit in everything} == {A, B, C}
    assert everything.query["resolutions_left_out"] == []
    assert {hit.source_id for hit in corpus.search(window=f"{C}/2", k=30)} == {C}


def test_names_a_source_by_id_beginning_or_file(make: Callable[..., Made]) -> None:
    made = make()
    rng = np.random.default_rng(0)
    for source_id, path in ((A, "/x/one.h5"), (B, "/y/two.h5"), (C, "/z/two.h5")):
        made.add(source_id, [1, 5], unit(rng.normal(size=(2, SPEC.dimension))), path=path)
    made.store.publish(lambda m: m.with_also_at(A, ["/elsewhere/copy.fil"]))
    corpus = made.open()
    for name in (A, A[:-1], "one.h5", "copy.fil"):
        assert corpus.search(window=f"{name}/5").query["source"] == A
    with pytest.raises(QueryError, match=f"GBT: could be any of {A}, {B}, {C}"):
        corpus.search(window="GBT/5")
    with pytest.raises(QueryError, match=f"two.h5: could be any of {B}, {C}"):
        corpus.search(window="two.h5/5")
    with pytest.raises(QueryError, match=f"three.h5: no such file, and no source of .* has this id.*{A}"):
        corpus.search(window="three.h5/5")


@pytest.mark.parametrize(("arguments", "message"), [
    ({}, "one of file, window, power, signal and vector, got none"),
    ({"window": f"{A}/1", "power": np.ones((4, 16))}, "got window and power"),
    ({"file": A}, "file needs f_start_mhz and f_stop_mhz"),
    ({"file": A, "f_start_mhz": 1529.999}, "file needs f_start_mhz and f_stop_mhz"),
    ({"window": A}, "give SOURCE/NUMBER"),
    ({"window": f"{A}/x"}, "give SOURCE/NUMBER"),
    ({"window": f"{A}/-1"}, "give SOURCE/NUMBER"),
    ({"window": f"{A}/122"}, "122 windows, numbered from 0"),
    ({"window": f"{A}/1", "k": 0}, "k must be at least 1"),
    ({"window": f"{A}/1", "encoder": "spectral"}, "no vectors of encoder spectral, but of random-v1"),
])
def test_refuses(fill: Callable[..., Made], arguments: dict[str, object], message: str) -> None:
    with pytest.raises(QueryError, match=message):
        fill(sources="A").open().search(**arguments)  # type: ignore[arg-type]


def test_a_window_that_was_not_kept_needs_its_file(fill: Callable[..., Made]) -> None:
    made = fill(sources="A", count=20)
    missing = next(number for number in range(120) if number not in set(made.numbers[A].tolist()))
    with pytest.raises(QueryError, match=f"{A} cannot be read from its file any more .*/gone/{A}.h5"):
        made.open().search(window=f"{A}/{missing}")


def test_without_its_file_a_range_is_searched_for_by_what_the_corpus_has_kept(make: Callable[..., Made]) -> None:
    made = make()
    rng = np.random.default_rng(3)
    made.add(A, [3, 4, 5, 62, 65, 20], unit(rng.normal(size=(6, SPEC.dimension))))
    made.add(B, range(0, 120, 2), unit(rng.normal(size=(60, SPEC.dimension))))
    corpus = made.open()
    f = FINE.channel_edge_mhz
    # 64–80 and 80–96 in both time blocks
    result = corpus.search(file=A, f_start_mhz=f(66), f_stop_mhz=f(90), k=3, each_window=True)
    queries = made.vectors[A][[1, 2, 4]]
    scores = unit(made.vectors[B]).astype(np.float64) @ unit(queries).astype(np.float64).T
    assert result.query["windows"] == 3
    assert "has kept" in result.query["note"]
    assert result[0].score == pytest.approx(scores.max(), abs=1e-6)
    assert result.query_window is not None
    assert result.query_window.number == (4, 5, 65)[scores.max(axis=0).argmax()]
    for hit in result:
        if hit.source_id == B:
            row = np.flatnonzero(made.numbers[B] == hit.window.number)[0]
            assert hit.query_window == made.tiling(A).window(A, (4, 5, 65)[scores[row].argmax()])
    assert len({hit.query_window for hit in result}) > 1
    assert np.isfinite(result.query_power()).all()
    shown = {number for hit in corpus.search(file=A, f_start_mhz=f(66), f_stop_mhz=f(90), k=99, each_window=True)
             if hit.source_id == A for number in (hit.window.number, *hit.merged)}
    assert shown == {3, 62, 20}
    with pytest.raises(QueryError, match="has kept no window there; give the path of a copy"):
        corpus.search(file=A, f_start_mhz=f(600), f_stop_mhz=f(610))
