"""A result in Python and in notebooks: its text, its table, its pictures; and the power of windows named by id."""

from __future__ import annotations

import base64
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import CorpusDamaged, QueryError
from pipeline.search import Corpus, SearchResult
from pipeline.search.result import HIT_COLUMNS
from tests.search.conftest import Made

A, B, C = (f"GBT_59000_{i}_{letter}" for i, letter in enumerate("ABC"))
PNG = b"\x89PNG\r\n"


@pytest.fixture
def made(fill: Callable[..., Made]) -> Made:
    return fill(count=30)


@pytest.fixture
def corpus(made: Made) -> Corpus:
    return made.open()


@pytest.fixture
def result(made: Made, corpus: Corpus) -> SearchResult:
    return corpus.search(window=f"{A}/{made.numbers[A][0]}", k=3)


class Tags(HTMLParser):
    """Reads HTML; keeps its tags, what they link to, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.sources: list[str] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag != "img":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_text_of_a_result_is_one_short_line(made: Made, result: SearchResult) -> None:
    assert repr(result) == (f"<SearchResult: 3 hits for window {A}/{made.numbers[A][0]} among 90 signals, best score "
                            f"{result[0].score:.3f}>")
    assert repr(replace(result, hits=())).endswith("among 90 signals>")


def test_a_notebook_shows_a_table_and_pictures_that_need_no_other_file(result: SearchResult) -> None:
    read = Tags(result._repr_html_())
    assert read.open == []
    assert read.tags.count("tr") == 1 + len(result)
    [picture] = read.sources
    assert base64.b64decode(picture.removeprefix("data:image/png;base64,"), validate=True).startswith(PNG)
    for hit in result:
        assert f"{hit.source_id}/{hit.window.number}" in read.text
        assert f"{hit.window.f_start_mhz:.6f}" in read.text


def test_a_notebook_names_the_view_where_it_is_not_the_plain_one(result: SearchResult) -> None:
    assert "View" not in Tags(result._repr_html_()).text
    first, *others = result.hits
    seen = Tags(replace(result, hits=(replace(first, view="f4"), *others))._repr_html_()).text
    assert "ScoreViewFrequency" in seen
    assert f"{first.score:.3f}f4" in seen
    assert f"{others[0].score:.3f}1x" in seen


def test_a_notebook_says_how_many_windows_of_a_wide_pattern_are_there(result: SearchResult) -> None:
    wide = replace(result, description=replace(result.description, windows=4, arranged=True),
                   hits=(replace(result.hits[0], merged=(1, 2)),))
    assert "(3 of 4 windows)" in Tags(wide._repr_html_()).text


def test_names_in_a_notebook_are_escaped(result: SearchResult) -> None:
    evil = "/d/<script>alert('x')</script>&\n\udcff.h5"
    hits = tuple(replace(hit, file=evil, target='"><img src=http://x>') for hit in result)
    description = result.description.with_notes("<b>note</b>")
    read = Tags(replace(result, hits=hits, description=description)._repr_html_())
    assert set(read.tags) == {"div", "p", "b", "img", "table", "tr", "th", "td"}
    assert read.tags.count("img") == 1
    assert len(read.sources) == 1
    assert "<script>alert('x')</script>&\\n\\xff.h5" in read.text
    assert "<b>note</b>" in read.text


def test_pictures_that_cannot_be_drawn_leave_the_table(result: SearchResult) -> None:
    def fail(hits: object) -> list[np.ndarray]:
        raise CorpusDamaged("sources/<A>: gone")

    read = Tags(replace(result, power_of=fail)._repr_html_())
    assert "img" not in read.tags
    assert "No pictures: sources/<A>: gone" in read.text
    assert read.tags.count("tr") == 1 + len(result)


def test_a_result_without_hits_is_shown(result: SearchResult) -> None:
    read = Tags(replace(result, hits=(), description=result.description.with_notes("no hits: why"))._repr_html_())
    assert set(read.tags) == {"div", "p", "b"}
    assert "Note: no hits: why" in read.text


def test_plot_writes_a_file_or_gives_what_a_notebook_shows(result: SearchResult, tmp_path: Path) -> None:
    assert result.plot(tmp_path / "hits.png") == tmp_path / "hits.png"
    assert (tmp_path / "hits.png").read_bytes().startswith(PNG)
    assert result.plot()._repr_png_().startswith(PNG)


def test_a_data_frame_has_the_columns_of_the_csv(corpus: Corpus, made: Made) -> None:
    pandas = pytest.importorskip("pandas")
    result = corpus.search(window=f"{A}/{made.numbers[A][0]}", k=20)
    assert any(hit.merged for hit in result)
    frame = result.to_dataframe()
    assert isinstance(frame, pandas.DataFrame)
    assert tuple(frame.columns) == HIT_COLUMNS == tuple(result[0].to_json())
    assert frame["score"].tolist() == [round(hit.score, 6) for hit in result]
    assert frame["f_start_mhz"].tolist() == [round(hit.window.f_start_mhz, 9) for hit in result]
    assert [[int(number) for number in text.split()] for text in frame["merged"]] == [list(h.merged) for h in result]
    assert not any(isinstance(cell, list | dict | tuple) for row in frame.to_numpy() for cell in row)
    empty = replace(result, hits=()).to_dataframe()
    assert (len(empty), tuple(empty.columns)) == (0, HIT_COLUMNS)


def test_without_pandas_a_data_frame_says_what_to_install(
    result: SearchResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"to_dataframe needs pandas, .* pip install pandas"):
        result.to_dataframe()


def test_power_of_takes_hits_and_window_ids(corpus: Corpus, result: SearchResult) -> None:
    by_hit = corpus.power_of(result)
    names = [f"{hit.source_id}/{hit.window.number}" for hit in result]
    for images in (corpus.power_of(names), [corpus.power_of(name) for name in names],
                   [corpus.power_of(hit) for hit in result], corpus.power_of([names[0], *result[1:]])):
        for image, expected in zip(images, by_hit, strict=True):
            np.testing.assert_array_equal(image, expected)
    short = f"{result[0].source_id[:-1]}/{result[0].window.number}"
    np.testing.assert_array_equal(corpus.power_of(short), by_hit[0])
    assert corpus.power_of([]) == []


def test_power_of_a_window_that_is_not_there_is_refused(corpus: Corpus, made: Made) -> None:
    missing = next(number for number in range(120) if number not in set(made.numbers[A].tolist()))
    for name, message in ((f"{A}/{missing}", f"{A}/{missing}: the corpus has not kept this window"),
                          (f"{A}/122", "122 windows, numbered from 0"), (A, "names no window: give SOURCE/NUMBER"),
                          ("GBT/1", f"GBT: could be any of {A}, {B}, {C}")):
        with pytest.raises(QueryError, match=re.escape(message)):
            corpus.power_of(name)
