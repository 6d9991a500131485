"""Expansion of queries, compared with brute force."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pipeline.model import Window
from pipeline.search import Filters, SearchRequest
from pipeline.search.expand import expansion_of
from pipeline.search.from_file import draft_of_window
from pipeline.search.nearest import nearest
from pipeline.search.selection import Selection
from tests.search.archive import Archive, array_of
from tests.search.conftest import SPEC, Made

Name = tuple[str, int]


def vectors_of(made: Made) -> dict[Name, np.ndarray]:
    """Return all stored vectors, scaled to length 1."""
    return {(source_id, int(number)): vector / np.linalg.norm(vector) for source_id, vectors in made.vectors.items()
            for number, vector in zip(made.numbers[source_id], vectors, strict=True)}


def are_beside(a: Window, b: Window) -> bool:
    """Tell whether two windows share pixels, or an edge if they are of one source. All scans begin at one time."""
    slack_mhz, slack_s = (1e-7, 1e-3) if a.source_id == b.source_id else (-1e-7, -1e-3)
    return (a.f_start_mhz < b.f_stop_mhz + slack_mhz and b.f_start_mhz < a.f_stop_mhz + slack_mhz
            and a.t_start_s < b.t_stop_s + slack_s and b.t_start_s < a.t_stop_s + slack_s)


def expanded(made: Made, query: np.ndarray, names: list[Name]) -> np.ndarray:
    """Expand a query by the two of some windows, best first, of which neither lies beside the other."""
    stored = vectors_of(made)
    windows = {name: made.tiling(name[0]).window(*name) for name in names}
    names = sorted(names, key=lambda name: -float(stored[name] @ query))
    first = names[0]
    second = next(name for name in names[1:] if not are_beside(windows[first], windows[name]))
    total = query + sum(float(stored[name] @ query) ** 2 * stored[name] for name in (first, second))
    return np.asarray(total / np.linalg.norm(total))


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("indexed", [False, True])
@pytest.mark.parametrize("filters", [None, Filters(not_file=("GBT_59000_1_B",))])
def test_hits_are_ordered_by_the_cosine_with_the_mean_of_three(
    fill: Callable[..., Made], exact: bool, indexed: bool, filters: Filters | None
) -> None:
    made = fill()
    if indexed:
        made.index("GBT_59000_0_A", "GBT_59000_2_C")
    asked = ("GBT_59000_0_A", int(made.numbers["GBT_59000_0_A"][5]))
    stored = vectors_of(made)
    here = made.tiling(asked[0]).window(*asked)
    found = [name for name in stored if name != asked and not (filters and name[0] == "GBT_59000_1_B")]
    wanted = expanded(made, stored[asked], found)

    hits = made.open().search(window=f"{asked[0]}/{asked[1]}", k=1000, exact=exact, expand=True, filters=filters)

    assert hits[0].window.number == max(found, key=lambda name: float(stored[name] @ wanted))[1]
    assert [hit.expanded for hit in hits] == sorted((hit.expanded or 0 for hit in hits), reverse=True)
    for hit in hits:
        vector = stored[hit.source_id, hit.window.number]
        assert hit.expanded == pytest.approx(vector @ wanted, abs=1e-6)
        assert hit.score == pytest.approx(vector @ stored[asked], abs=1e-6)
    names = {(hit.source_id, number) for hit in hits for number in (hit.window.number, *hit.merged)}
    assert names == set(found)
    assert here.number not in {hit.window.number for hit in hits if hit.source_id == asked[0]}


def test_only_the_windows_that_the_first_search_fetches_are_scored_again(fill: Callable[..., Made]) -> None:
    made = fill(sources="ABCDEF", spread=3.0)
    name = ("GBT_59000_0_A", int(made.numbers["GBT_59000_0_A"][0]))
    corpus = made.open()
    asked: list[int] = []

    def counting(selection: Selection, vectors: np.ndarray, k: int, **options: bool) -> object:
        asked.append(k)
        return nearest(selection, vectors, k, **options)

    corpus._searcher = replace(corpus._searcher, find=counting)
    plain = corpus.search(window=f"{name[0]}/{name[1]}", k=3)
    searches = len(asked)
    hits = corpus.search(window=f"{name[0]}/{name[1]}", k=3, expand=True)
    assert len(asked) == 2 * searches == 2  # as often as without expansion
    assert len(plain) == len(hits) == 3
    assert all(hit.expanded is None for hit in plain)


def test_each_window_of_a_query_is_expanded_by_what_resembles_it_most(fill: Callable[..., Made]) -> None:
    made = fill(count=60)
    corpus, stored = made.open()._corpus, vectors_of(made)
    a, b = (("GBT_59000_0_A", int(made.numbers["GBT_59000_0_A"][i])) for i in (3, 30))
    one = draft_of_window(corpus, SPEC.key, f"{a[0]}/{a[1]}").query
    both = np.stack([stored[a], stored[b]])
    query = replace(one, vectors=both.astype(np.float32), regions=())
    selection = Selection.of(corpus, SPEC.key, frozenset({one.resolution}), Filters())

    made_of = expansion_of(SearchRequest(window="A/1", expand=True, k=1000), query, selection, nearest)

    assert made_of is not None
    names = list(stored)
    best = np.argmax(np.stack([stored[name] for name in names]) @ both.T, axis=1)
    for i in range(2):
        mine = [name for name, at in zip(names, best, strict=True) if at == i]
        np.testing.assert_allclose(made_of.query.vectors[i], expanded(made, both[i], mine), atol=1e-6)


def test_an_array_is_expanded_and_a_pattern_of_several_windows_is_not(archive: Archive) -> None:
    corpus = archive.open()
    one = corpus.search(power=array_of(archive, 0, 256), k=5, expand=True)
    assert all(hit.expanded is not None for hit in one)
    wide = array_of(archive, 0, 4096)
    plain, arranged = corpus.search(power=wide, k=5), corpus.search(power=wide, k=5, expand=True)
    assert plain.description.arranged
    assert "not expanded" in arranged.description.note
    assert [(hit.window, hit.score, hit.expanded) for hit in arranged] == [
        (hit.window, hit.score, None) for hit in plain]
    each = corpus.search(power=wide, k=5, expand=True, each_window=True)
    assert "not expanded" not in each.description.note
    assert all(hit.expanded is not None for hit in each)
