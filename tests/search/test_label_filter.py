"""Searches for hits that carry a label, or carry none: the same hits as in the whole list, at the same scores."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import LabelError, QueryError
from pipeline.model import CoarseLayout, Hit
from pipeline.search import Corpus, Filters, SearchRequest, SearchResult
from tests.search.conftest import CONFIG, FINE, SPEC, Made, unit

SOURCES = [f"GBT_59000_{i}_{letter}" for i, letter in enumerate("ABC")]


@pytest.fixture
def corpus(make: Callable[..., Made]) -> Corpus:
    """Corpus of three sources whose windows overlap. Neighbouring windows are alike, so that hits have several."""
    made = make("corpus", CONFIG.override({"scan": {"step": 8}}))
    for i, name in enumerate(SOURCES):
        rng = np.random.default_rng(i)
        numbers = np.flatnonzero(rng.random(240) < 0.7)
        walk = np.cumsum(rng.normal(size=(len(numbers), SPEC.dimension)) * 0.2, axis=0)
        made.add(name, numbers, unit(walk + 3), header=replace(FINE, foff_mhz=-0.002, fch1_mhz=1531.7 + i),
                 coarse=CoarseLayout(1024, "flag"))
    made.index(SOURCES[0])
    return made.open()


def query(corpus: Corpus) -> str:
    return f"{SOURCES[0]}/{corpus._corpus.numbers(SOURCES[0])[3]}"


def told(hits: Sequence[Hit] | SearchResult) -> list[tuple]:
    return [(hit.source_id, hit.window.number, hit.merged, hit.score) for hit in hits]


def label_some(corpus: Corpus) -> list[Hit]:
    """Label every fourth hit by one of its merged windows, where it has some; return all hits."""
    every = list(corpus.search(window=query(corpus), k=10_000))
    assert sum(bool(hit.merged) for hit in every[::4]) > 5
    for i, hit in enumerate(every[::4]):
        corpus.labels.add([f"{hit.source_id}/{hit.merged[-1] if hit.merged else hit.window.number}"],
                          "Comb" if i % 2 else "line")
    return list(corpus.search(window=query(corpus), k=10_000))


@pytest.mark.parametrize("few", [False, True])
@pytest.mark.parametrize(("filters", "wants"), [
    ({"only_label": ("comb",)}, lambda labels: "Comb" in labels),
    ({"only_label": ("comb", "LINE")}, bool),
    ({"not_label": (" comb ",)}, lambda labels: "Comb" not in labels),
    ({"not_label": ("comb", "line")}, lambda labels: not labels),
    ({"only_label": ("comb",), "not_label": ("line",)}, lambda labels: labels == ("Comb",)),
])
def test_the_hits_are_those_of_the_whole_list_that_carry_the_label(
    corpus: Corpus, monkeypatch: pytest.MonkeyPatch, few: bool, filters: dict, wants: Callable[[tuple], bool]
) -> None:
    every = label_some(corpus)
    wanted = [hit for hit in every if wants(hit.labels)]
    assert 2 < len(wanted) < len(every)
    if few:  # few windows are fetched at a time, so a search takes several rounds
        monkeypatch.setattr("pipeline.search.best_hits.MIN_FETCHED_WINDOWS", 3)
        monkeypatch.setattr("pipeline.search.best_hits.FETCHED_PER_HIT", 1)
    for k in (1, 3, 10_000):
        result = corpus.search(window=query(corpus), k=k, filters=Filters(**filters))
        assert told(result) == told(wanted[:k])
        assert [hit.rank for hit in result] == list(range(1, len(result) + 1))
    first = corpus.search(window=query(corpus), k=10_000, per_file=1, filters=Filters(**filters))
    best = {hit.source_id: hit for hit in reversed(wanted)}
    assert told(first) == told(sorted(best.values(), key=lambda hit: -hit.score))


def test_what_is_left_out_is_counted(corpus: Corpus) -> None:
    """Of a label for two places, one is of another corpus. Windows count by their own labels."""
    hit = next(hit for hit in corpus.search(window=query(corpus), k=50) if len(hit.merged) > 1)
    corpus.labels.add([hit, f"{hit.source_id}/{hit.merged[0]}"], "comb")
    labelled = sum(any(label.text == "comb" for label in corpus.labels.of(f"{name}/{number}"))
                   for name in SOURCES for number in corpus._corpus.numbers(name).tolist())
    whole = corpus.search(window=query(corpus))
    only, without = (corpus.search(window=query(corpus), filters=Filters(**{name: "comb"}))
                     for name in ("only_label", "not_label"))
    every = whole.corpus["searched"]
    assert 2 <= labelled < every
    assert only.corpus["searched"] == only.background.searched == labelled
    assert without.corpus["searched"] == without.background.searched == every - labelled
    assert f"labels leave out {every - labelled} of {every} signals; expected numbers are of the {labelled} that are " \
           "left" in only.description.note
    assert f"labels leave out {labelled} of {every} signals; " in without.description.note
    assert only.to_json()["query"]["filters"] == {"only_label": ["comb"]}
    request = SearchRequest(window=query(corpus), filters=Filters(not_label=("comb",)))
    assert SearchRequest.from_json(json.loads(json.dumps(request.to_json()))) .to_json() == request.to_json()


def test_other_orders_and_several_searches_at_once(corpus: Corpus) -> None:
    """An order by more than the score keeps to the labels, and so does what expands a query."""
    every = label_some(corpus)
    none = Filters(not_label=("comb", "line"))
    for asked in ({"rerank": True}, {"near_frequency": 1.0}, {"expand": True}, {"careful": True}):
        result = corpus.search(window=query(corpus), k=20, filters=none, **asked)
        assert len(result) == 20
        assert not any(hit.labels for hit in result)
    expanded = corpus.search(window=query(corpus), k=20, expand=True, filters=Filters(only_label=("comb",)))
    assert {hit.labels for hit in expanded} == {("Comb",)}
    requests = [SearchRequest(window=f"{hit.source_id}/{hit.window.number}", k=5, filters=filters)
                for hit in every[:2] for filters in (none, Filters(only_label=("line",)), None)]
    for request, together in zip(requests, corpus.search_many(requests), strict=True):
        assert told(together) == told(corpus.answer(request))


@pytest.mark.parametrize(("filters", "message"), [
    ({"only_label": ("comp",)}, "only_label comp: no window has this label; near ones are 'Comb'$"),
    ({"not_label": ("lin",)}, "not_label lin: no window has this label; near ones are 'line'$"),
    ({"not_label": ("comb", "pulsar")}, "not_label pulsar: no window has this label; labels are 'line', 'Comb'"),
    ({"only_label": ("  ",)}, ": a text is empty"),
])
def test_a_label_that_nothing_has_is_named_with_those_near(corpus: Corpus, filters: dict, message: str) -> None:
    label_some(corpus)
    with pytest.raises(QueryError, match=message):
        corpus.search(window=query(corpus), filters=Filters(**filters))


def test_without_labels_and_with_damaged_ones(corpus: Corpus, tmp_path: Path) -> None:
    with pytest.raises(QueryError, match="only_label comb: no window has a label yet; lookalike label gives labels"):
        corpus.search(window=query(corpus), filters=Filters(only_label=("comb",)))
    corpus.labels.add([query(corpus)], "comb")
    message = "only_label: none of the .* signals searched is left; 0 windows among them has the label 'comb'"
    with pytest.raises(QueryError, match=message):
        corpus.search(window=query(corpus), filters=Filters(only_label=("comb",), only_file=(SOURCES[1],)))
    alone = corpus.search(window=query(corpus), filters=Filters(only_label=("comb",)))
    assert len(alone) == 0
    assert "all overlap the query or belong to hits that labels leave out" in alone.description.note
    (corpus.labels.folder / "labels.jsonl").write_text("mine\n")
    with pytest.raises(LabelError, match="its first line is not that of a file of labels"):
        corpus.search(window=query(corpus), filters=Filters(not_label=("comb",)))
