"""Searches that examples refine: what they find, what counts as an example, and what to label next."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ParameterError, QueryError
from pipeline.search import Corpus, Filters, SearchRequest
from pipeline.search.direction import MIN_FITTED, PENALTY, WEAK_WEIGHT, _regression, direction_of
from pipeline.search.example_forms import range_in
from tests.search.archive import Archive
from tests.search.conftest import Made, unit

A, B = "GBT_59000_0_A", "GBT_59000_1_B"


def names(corpus: Corpus, source_id: str, count: int) -> list[str]:
    return [f"{source_id}/{number}" for number in corpus._corpus.numbers(source_id)[:count].tolist()]


def best(corpus: Corpus, made: Made, direction: np.ndarray) -> dict[str, float]:
    """Return each window with its cosine with a direction, by brute force."""
    return {f"{source_id}/{number}": float(unit(vector[None])[0] @ direction)
            for source_id, vectors in made.vectors.items()
            for number, vector in zip(made.numbers[source_id].tolist(), vectors, strict=True)}


def test_the_regression_is_that_of_another_library() -> None:
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(300, 8))
    is_like = (vectors[:, 0] + rng.normal(size=300) > 0.5).astype(float)
    weights = rng.choice([1.0, WEAK_WEIGHT], 300)
    other = LogisticRegression(C=1 / PENALTY, tol=1e-8, max_iter=1000).fit(vectors, is_like, sample_weight=weights)
    assert _regression(vectors, is_like, weights) == pytest.approx(other.coef_[0], abs=1e-3)


@pytest.mark.parametrize("count", [1, 3, 20])
def test_examples_find_more_of_their_kind(count: int) -> None:
    """Kinds are mixtures that overlap; the examples are what one query finds first, as a user would label it."""
    rng = np.random.default_rng(1)
    centres = rng.normal(size=(12, 30))
    kind = rng.integers(0, 12, 1200)
    vectors = unit(centres[kind] + 1.7 * rng.normal(size=(1200, 30)))
    gained = []
    for query in range(24):
        scores = vectors @ vectors[query]
        shown = np.argsort(-scores)[: count + 1]  # the query among them
        right = kind[shown] == kind[query]
        direction = direction_of(vectors[shown[right]], vectors[shown[~right]], vectors)
        rest = np.delete(np.arange(1200), shown)
        refined = np.mean(kind[rest[np.argsort(-(vectors[rest] @ direction.vector))[:20]]] == kind[query])
        gained.append(refined - np.mean(kind[rest[np.argsort(-scores[rest])[:20]]] == kind[query]))
        assert np.linalg.norm(direction.vector) == pytest.approx(1, abs=1e-5)
        assert direction.is_fitted == (count + 1 >= MIN_FITTED)
    assert np.mean(gained) > (0.02 if count < 20 else 0.15)


def test_hits_are_ordered_by_the_direction_and_no_example_is_one(fill: Callable[..., Made]) -> None:
    made = fill()
    corpus = made.open()
    like, unlike = names(corpus, A, 4), names(corpus, B, 3)
    result = corpus.search(like=like, unlike=unlike, k=500)

    vectors = {name: unit(vector[None])[0] for source_id, rows in made.vectors.items()
               for name, vector in zip((f"{source_id}/{n}" for n in made.numbers[source_id].tolist()), rows,
                                       strict=True)}
    sample = np.array(list(vectors.values()), np.float32)
    assert result.refinement is not None
    direction = result.refinement.direction.vector
    again = direction_of(np.array([vectors[one] for one in like]), np.array([vectors[one] for one in unlike]), sample)
    assert direction == pytest.approx(again.vector, abs=0.02)  # the sample has another order
    by_hand = best(corpus, made, direction)
    for hit in result:
        assert hit.score == pytest.approx(by_hand[f"{hit.source_id}/{hit.window.number}"], abs=1e-5)
    assert [hit.score for hit in result] == sorted((hit.score for hit in result), reverse=True)
    shown = {f"{hit.source_id}/{number}" for hit in result for number in (hit.window.number, *hit.merged)}
    assert shown == set(by_hand) - {*like, *unlike}
    assert result.description.to_json() | {"like": 4, "unlike": 3} == result.description.to_json()


def test_every_form_of_an_example_means_the_same(fill: Callable[..., Made]) -> None:
    corpus = fill().open()
    like = names(corpus, A, 3)
    hits = corpus.search(window=like[0], k=300)
    by_name = {f"{hit.source_id}/{hit.window.number}": hit for hit in hits}
    corpus.labels.add(like, "comb")

    said = [hit.score for hit in corpus.search(like=like)]
    assert [hit.score for hit in corpus.search(window=like[0], like=like[1:])] == pytest.approx(said)
    assert [hit.score for hit in corpus.search(like="label:Comb")] == pytest.approx(said)
    assert [hit.score for hit in corpus.search(like=(*like, like[1], "label:comb"))] == pytest.approx(said)
    given = [by_name.get(name, name) for name in like]
    assert [hit.score for hit in corpus.search(like=given)] == pytest.approx(said)
    request = SearchRequest.from_json(SearchRequest(like=like, unlike=[names(corpus, B, 1)[0]]).to_json())
    assert (request.like, request.unlike) == (tuple(like), (names(corpus, B, 1)[0],))


def test_ranges_and_arrays_are_examples_too(archive: Archive) -> None:
    corpus = archive.open()
    truth = archive.truth[archive.outside][0]
    low, high = truth.f_start_mhz, truth.f_stop_mhz
    power = corpus.power_of(corpus.search(file=archive.outside, f_start_mhz=low, f_stop_mhz=high)[0])
    by_range = corpus.search(like=[f"{archive.outside}:{low:.7f}–{high:.7f}"])
    assert by_range.description.kind == "file"
    both = corpus.search(like=[power, f"{archive.outside}:{low:.7f}-{high:.7f}"], view="1x")
    assert both.description.like >= 2
    request = SearchRequest(like=[power])
    assert SearchRequest.from_json(request.to_json()).like[0] == pytest.approx(power, nan_ok=True)


@pytest.mark.parametrize(("text", "ends"), [
    ("a.h5:1530.1-1530.2", ("a.h5", 1530.1, 1530.2)), ("/d:x/a.h5:1–2 MHz", ("/d:x/a.h5", 1.0, 2.0)),
    ("GBT_1/3015", None), ("label:1-2x", None),
])
def test_a_range_is_told_from_a_window(text: str, ends: tuple[str, float, float] | None) -> None:
    assert range_in(text) == ends


def test_figures_of_chance_are_those_of_the_refined_score(
    fill: Callable[..., Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    unrelated = unit(np.random.default_rng(5).normal(size=(4000, 12)))
    monkeypatch.setattr("pipeline.search.unrelated.unrelated_vectors", lambda key: unrelated)
    corpus = fill(count=100).open()
    result = corpus.search(like=names(corpus, A, 3), unlike=names(corpus, B, 3), k=200)
    assert result.refinement is not None
    scores = unrelated @ result.refinement.direction.vector
    counted = [hit for hit in result if not hit.extrapolated and hit.expected < result.corpus["searched"]]
    assert len(counted) > 20
    excess = result.background.nulls[0].excess
    for hit in counted:
        share = (1 + np.count_nonzero(scores >= hit.score)) / 4001
        if share > 0.05:  # below, the tail is fitted
            assert hit.expected == pytest.approx(min(1, share * excess) * result.corpus["searched"], rel=0.01)


def test_windows_to_label_are_new_borderline_or_random(fill: Callable[..., Made]) -> None:
    made = fill()
    corpus = made.open()
    like, unlike, labelled = names(corpus, A, 3), names(corpus, B, 3), names(corpus, A, 5)[3:]
    corpus.labels.add(labelled, "line")
    result = corpus.search(like=like, unlike=unlike, filters=Filters(not_file=("*_2_C*",)))
    assert result.refinement is not None

    chosen = result.to_label(12)

    assert [one.why for one in chosen] == ["borderline", "random"] * 6
    assert len({one.window for one in chosen}) == 12
    direction = result.refinement.direction
    scores = best(corpus, made, direction.vector)
    free = {name for name in scores if name[:13] in (A, B)} - {*like, *unlike, *labelled}
    assert {one.window for one in chosen} <= free
    nearest = sorted(free, key=lambda name: abs(scores[name] - direction.border))
    assert {one.window for one in chosen if one.why == "borderline"} <= set(nearest[:12])
    assert all(one.score == pytest.approx(scores[one.window], abs=1e-5) for one in chosen)
    assert len(result.to_label(1000)) == len(free)
    assert chosen[0].to_json()["why"] == "borderline"
    with pytest.raises(QueryError, match="no examples refined this search"):
        corpus.search(window=like[0]).to_label()


@pytest.mark.parametrize(("asked", "words"), [
    ({"unlike": [f"{A}/1"]},
     "give one of file, window, power, signal and vector, got none; like may replace all of them"),
    ({"like": [f"{A}/1"], "rerank": True}, "rerank does not go with like and unlike"),
    ({"like": [f"{A}/1"], "expand": True}, "expand does not go with like and unlike"),
    ({"like": [f"{A}/1"], "all_views": True}, "all_views does not go with like and unlike"),
    ({"like": ["  "]}, "like '  ' names nothing: give SOURCE/NUMBER"),
    ({"like": ["label:"]}, "names nothing"),
    ({"like": [7]}, "an example is text such as SOURCE/NUMBER"),
])
def test_a_request_that_contradicts_itself_is_refused(asked: dict[str, object], words: str) -> None:
    with pytest.raises(ParameterError, match=words):
        SearchRequest(**asked)


def test_examples_that_are_not_there_are_refused(fill: Callable[..., Made], tmp_path: Path) -> None:
    corpus = fill().open()
    window = names(corpus, A, 1)[0]
    with pytest.raises(QueryError, match="label:comb: no window has this label; labels are none"):
        corpus.search(like="label:comb")
    corpus.labels.add([window], "line")
    with pytest.raises(QueryError, match="label:comb: no window has this label; labels are line"):
        corpus.search(window=window, unlike="label:comb")
    with pytest.raises(QueryError, match="names no window"):
        corpus.search(window=window, like="nonsense")
    with pytest.raises(ParameterError, match="like must be a list, got 'x'"):
        SearchRequest.from_json({"like": "x"})
