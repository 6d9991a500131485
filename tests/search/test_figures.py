"""Figures of hits: what is expected by chance, from the sample of the corpus and from simulated signals."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pipeline.errors import ParameterError
from pipeline.search import SearchRequest
from pipeline.search import sample as sample_module
from pipeline.search import unrelated as unrelated_module
from pipeline.search.sample import draw_sample
from pipeline.search.selection import Selection
from pipeline.significance import Tail

from .conftest import FINE, SPEC, Made, unit

A, B, C = (f"GBT_59000_{i}_{letter}" for i, letter in enumerate("ABC"))


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """Simulated signals of the test's encoder: random directions."""
    vectors = unit(np.random.default_rng(9).standard_normal((3000, SPEC.dimension)))
    monkeypatch.setattr(unrelated_module, "unrelated_vectors", lambda key: vectors if key == SPEC.key else None)
    return vectors


def test_every_hit_says_how_many_are_expected(fill: Callable[..., Made], simulated: np.ndarray) -> None:
    made = fill()
    number = int(made.numbers[A][0])
    result = made.open().search(window=f"{A}/{number}", k=5, q=True)
    query = unit(made.vectors[A][:1].astype(np.float32))[0]
    tail = Tail.of(simulated @ query)
    for i, hit in enumerate(result):
        assert hit.expected == pytest.approx(120 * tail.share(hit.score)[0], rel=1e-3)  # a sample of 120 adds nothing
        assert hit.p == pytest.approx(hit.expected / 120)
        assert hit.q == pytest.approx(min(min(1, other.expected / rank) for rank, other in
                                          enumerate(result, start=1) if rank > i))
        assert hit.expected_low < hit.expected < hit.expected_high
    assert result.verdict is not None
    assert result.words_of_verdict == str(result.verdict)
    assert sum(result.background.counts) == result.background.sampled == 120 - 40  # without the query's own scan
    record = result.to_json()
    assert record["verdict"]["words"] == str(result.verdict)
    assert record["hits"][0]["expected"] == pytest.approx(result[0].expected, rel=1e-3)


def test_fewer_windows_searched_give_fewer_by_chance(fill: Callable[..., Made], simulated: np.ndarray) -> None:
    from pipeline.search import Filters

    made = fill()
    corpus, window = made.open(), f"{A}/{int(made.numbers[A][0])}"
    of_all = {(hit.source_id, hit.window.number): hit for hit in corpus.search(window=window, k=100)}
    of_some = corpus.search(window=window, k=100, filters=Filters(only_file=(B,)))
    assert len(of_some) > 5
    for hit in of_some:
        assert hit.expected == pytest.approx(of_all[hit.source_id, hit.window.number].expected * 40 / 120)


def test_limits_leave_out_hits_by_score_and_by_chance(fill: Callable[..., Made], simulated: np.ndarray) -> None:
    made = fill()
    corpus, window = made.open(), f"{A}/{int(made.numbers[A][0])}"
    every = corpus.search(window=window, k=20)
    most, least = every[6].expected, every[4].score
    assert [hit.score for hit in corpus.search(window=window, k=20, expected_below=most)] == [
        hit.score for hit in every if hit.expected <= most]
    few = corpus.search(window=window, k=20, min_score=least)
    assert [hit.score for hit in few] == [hit.score for hit in every[:5]]
    assert [hit.rank for hit in few] == [1, 2, 3, 4, 5]
    assert "15 hits left out because of the limits of score or chance" in few.query["note"]


@pytest.mark.parametrize("bad", [{"min_score": 1.5}, {"expected_below": 0.0}, {"expected_below": float("nan")}])
def test_limits_that_make_no_sense_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(ParameterError, match=next(iter(bad))):
        SearchRequest(window="a/1", **bad)


def test_without_simulated_signals_it_says_why_there_is_no_figure(fill: Callable[..., Made]) -> None:
    made = fill()
    corpus, window = made.open(), f"{A}/{int(made.numbers[A][0])}"
    result = corpus.search(window=window, k=3)
    assert all(hit.expected is hit.p is hit.q is None for hit in result)
    assert result.verdict is None
    assert SPEC.key in result.words_of_verdict
    assert result.to_json()["background"]["reason"] == result.background.reason
    with pytest.raises(ParameterError, match="expected_below cannot be used: there are no simulated signals"):
        corpus.search(window=window, expected_below=1)
    with pytest.raises(ParameterError, match="q cannot be used"):
        corpus.search(window=window, q=True)


def test_a_pattern_of_several_windows_counts_its_middle_match(
    make: Callable[..., Made], simulated: np.ndarray
) -> None:
    made = make()
    vectors = unit(np.random.default_rng(1).standard_normal((40, SPEC.dimension)))
    made.add(A, range(40), vectors)
    made.add(B, range(20, 60), vectors)
    f = FINE.channel_edge_mhz
    result = made.open().search(file=A, f_start_mhz=f(16 * 20), f_stop_mhz=f(16 * 24), k=2)
    assert result.description.arranged
    assert result[0].source_id == B
    assert result[0].expected < 1e-3 < 1 < result[1].expected  # the second place matches by chance


def test_the_sample_is_drawn_evenly_and_is_the_same_each_time(
    fill: Callable[..., Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = fill(count=120)
    made.index(A, B)  # C is in no segment
    corpus = made.open()._corpus
    resolutions = frozenset(entry.resolution for entry in corpus.manifest.sources.values())
    whole = draw_sample(Selection.of(corpus, SPEC.key, resolutions))
    assert np.bincount(whole.source).tolist() == [120, 120, 120]
    monkeypatch.setattr(sample_module, "SAMPLED_VECTORS", 180)
    some = draw_sample(Selection.of(corpus, SPEC.key, resolutions))
    counts = np.bincount(some.source)
    assert counts.sum() == 180
    assert (np.abs(counts - 60) < 20).all()
    stored = {source: unit(made.vectors[name].astype(np.float32)) for source, name in enumerate((A, B, C))}
    for source, vector in zip(some.source[::29], some.vectors[::29], strict=True):
        assert (stored[int(source)] @ vector).max() == pytest.approx(1, abs=1e-5)
    again = draw_sample(Selection.of(made.open()._corpus, SPEC.key, resolutions))
    assert np.array_equal(some.vectors, again.vectors)


def test_of_many_small_sources_some_are_read(fill: Callable[..., Made], monkeypatch: pytest.MonkeyPatch) -> None:
    corpus = fill().open()._corpus
    resolutions = frozenset(entry.resolution for entry in corpus.manifest.sources.values())
    monkeypatch.setattr(sample_module, "MAX_READ_SOURCES", 2)
    some = draw_sample(Selection.of(corpus, SPEC.key, resolutions))
    assert len(np.unique(some.source)) == 2
    assert len(some.vectors) == 80
