"""Requests, descriptions and the table of filters: they are checked in one place, for Python, JSON and the shell."""

from __future__ import annotations

import inspect
import json
import pickle
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import click
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.cli.search import search as command
from pipeline.errors import ParameterError, QueryError
from pipeline.search import Corpus, Filters, QueryDescription, SearchRequest
from pipeline.search.filter_table import FILTERS
from tests.search.conftest import SPEC, Made

A = "GBT_59000_0_A"
REQUESTS = [
    SearchRequest(window="a/1"),
    SearchRequest(file="/d/a.h5", f_start_mhz=1.5, f_stop_mhz=2, k=3, exact=True, polarisation=1, per_file=2),
    SearchRequest(window="a/1", rerank=True, rerank_mirror=True, encoder="spectral", careful=True, per_mhz=7),
    SearchRequest(window="a/1", near_frequency=0.5, all_resolutions=True, one_shot=True, filters=Filters(
        only_mhz=((1.0, np.inf), (-np.inf, 3.0)), not_file=("b*",), after_mjd=59_000.25)),
]


@pytest.mark.parametrize("request_", REQUESTS)
def test_a_request_survives_json(request_: SearchRequest) -> None:
    record = json.loads(json.dumps(request_.to_json(), allow_nan=False))
    again = SearchRequest.from_json(record)
    for field in fields(SearchRequest):
        assert getattr(again, field.name) == getattr(request_, field.name), field.name


def test_an_array_survives_json_with_its_masked_pixels() -> None:
    power = np.arange(12, dtype=np.float32).reshape(3, 4)
    masked = np.ma.masked_array(power, mask=power == 5)
    masked[2, 3] = np.inf
    record = json.loads(json.dumps(SearchRequest(power=masked).to_json(), allow_nan=False))
    assert record["power"][1] == [4.0, None, 6.0, 7.0]
    expected = power.astype(float)
    expected[1, 1] = expected[2, 3] = np.nan
    np.testing.assert_array_equal(SearchRequest.from_json(record).power, expected)


@pytest.mark.parametrize(("record", "message"), [
    ({"window": "a/1", "colour": 1}, "'colour' is no parameter of a search; there are file, f_start_mhz"),
    ({"window": 3}, "window must be of type str | Sequence[str] | None, got 3"),
    ({"window": "a/1", "k": "3"}, "k must be of type int, got '3'"),
    ({"window": "a/1", "k": True}, "k must be of type int, got True"),
    ({"window": "a/1", "k": 2.5}, "k must be of type int, got 2.5"),
    ({"window": "a/1", "exact": 1}, "exact must be of type bool, got 1"),
    ({"window": "a/1", "k": None}, "k must be of type int, got None"),
    ({"window": "a/1", "filters": [1]}, "filters must be an object, got [1]"),
    ({"window": "a/1", "filters": {"only_colour": ["x"]}}, "'only_colour' is no filter; filters are only_mhz, not_mhz"),
    ({"window": "a/1", "filters": {"only_mhz": [1, 2]}}, "only_mhz: [1, 2] is no LOW:HIGH"),
    ({"window": "a/1", "filters": {"only_file": [3]}}, "only_file: [3] is no NAME"),
    ({"window": "a/1", "filters": {"only_file": "abc"}}, "only_file: 'abc' is no NAME"),
    ({"window": "a/1", "filters": {"after_mjd": "x"}}, "after_mjd: 'x' is no TIME"),
    ({"power": [[1, 2], [3]]}, "power must be a list of rows of numbers"),
    ({}, "give one of file, window, power, signal and vector, got none"),
])
def test_json_that_is_no_request_is_refused(record: dict[str, Any], message: str) -> None:
    with pytest.raises(ParameterError) as caught:
        SearchRequest.from_json(record)
    assert str(caught.value).startswith(message)


CONTRADICTIONS: list[tuple[dict[str, Any], str, str]] = [
    ({"window": "a/1", "k": 0}, "k must be at least 1, got 0", "-k must be at least 1, got 0"),
    ({"window": "a/1", "f_start_mhz": 1.0}, "f_start_mhz and f_stop_mhz go with file",
     "--f-start and --f-stop go with --file"),
    ({"file": "a"}, "file needs f_start_mhz and f_stop_mhz", "--file needs --f-start and --f-stop"),
    ({"power": 1, "window": "a/1"}, "give one of file, window, power, signal and vector, got window and power",
     "give one of --file, --window, --npy, --signal and --vector, got --window and --npy"),
    ({"window": "a/1", "rerank_drift": True}, "rerank_drift and rerank_mirror go with rerank",
     "--rerank-drift and --rerank-mirror go with --rerank"),
    ({"window": "a/1", "near_frequency": 1.0, "rerank": True}, "near_frequency does not go with rerank",
     "--near-frequency does not go with --rerank"),
    ({"power": 1, "near_frequency": 1.0}, "near_frequency does not go with power",
     "--near-frequency does not go with --npy"),
    ({"window": "a/1", "expand": True, "rerank": True}, "expand does not go with rerank, nor with near_frequency",
     "--expand does not go with --rerank, nor with --near-frequency"),
    ({"window": "a/1", "per_file": 0}, "per_file must be at least 1, got 0", "--per-file must be at least 1, got 0"),
]


@pytest.mark.parametrize(("keywords", "in_python", "in_a_shell"), CONTRADICTIONS)
def test_an_error_names_parameters_in_python_and_flags_in_a_shell(
    keywords: dict[str, Any], in_python: str, in_a_shell: str
) -> None:
    with pytest.raises(ParameterError) as caught:
        SearchRequest(**keywords)
    flags = {param.name: param.opts[0] for param in command.params}
    for error in (caught.value, pickle.loads(pickle.dumps(caught.value))):
        assert isinstance(error, QueryError)
        assert str(error).startswith(in_python)
        assert error.spelled(flags.__getitem__).startswith(in_a_shell)


def test_the_command_line_has_an_option_for_each_parameter() -> None:
    names = {param.name for param in command.params if isinstance(param, click.Option)}
    in_request = {field.name for field in fields(SearchRequest)} - {"filters", "inside", "one_shot", "polarisation"}
    assert in_request | set(FILTERS) <= names


def test_each_filter_is_a_field_and_an_option() -> None:
    assert [field.name for field in fields(Filters) if field.init] == list(FILTERS)
    options = {param.name: param for param in command.params}
    for name, row in FILTERS.items():
        option = options[name]
        assert option.opts == [row.flag]
        assert option.help == row.help  # type: ignore[attr-defined]


ends = st.none() | st.floats(1, 2000)
mhz = st.tuples(ends, ends).map(lambda pair: (-np.inf if pair[0] is None else pair[0],
                                              np.inf if pair[1] is None else pair[1])).filter(lambda r: r[0] < r[1])


@given(only=st.lists(mhz, max_size=3), not_=st.lists(mhz, max_size=3), names=st.lists(st.text(min_size=1), max_size=3),
       after=st.none() | st.floats(50_000, 51_000), before=st.none() | st.floats(52_000, 53_000))
def test_filters_survive_json(only: list, not_: list, names: list[str], after: float | None, before: float | None
                              ) -> None:
    filters = Filters(only_mhz=tuple(only), not_mhz=tuple(not_), only_file=tuple(names), only_target=tuple(names),
                      after_mjd=after, before_mjd=before)
    assert Filters.from_json(json.loads(json.dumps(filters.to_json(), allow_nan=False))) == filters


def test_one_value_needs_no_tuple() -> None:
    assert Filters(only_file="a.h5").to_json() == {"only_file": ["a.h5"]}  # type: ignore[arg-type]
    assert hash(Filters(not_file=["a", "b"])) == hash(Filters(not_file=("a", "b")))  # type: ignore[arg-type]
    assert Filters(only_mhz=[(1.0, 2.0)]).to_json() == {"only_mhz": [[1.0, 2.0]]}  # type: ignore[arg-type]


def test_search_has_the_keywords_of_a_request_and_describes_them() -> None:
    signature = inspect.signature(Corpus.search)
    assert list(signature.parameters) == ["self", *(field.name for field in fields(SearchRequest))]
    assert signature.parameters["k"].default == 10
    text = inspect.getdoc(Corpus.search) or ""
    for field in fields(SearchRequest):
        assert field.name in text
    assert "PARAMETERS" not in text
    assert text.index("Parameters\n") < text.index("Returns\n") < text.index("Raises\n")


def test_keywords_and_a_request_have_the_same_answer(fill: Callable[..., Made]) -> None:
    made = fill(count=30)
    corpus, window = made.open(), f"{A}/{made.numbers[A][0]}"
    request = SearchRequest(window=window, k=4, filters=Filters(not_file=("GBT_59000_1*",)))
    by_request = corpus.answer(request)
    assert corpus.search(window=window, k=4, filters=request.filters).to_json() == by_request.to_json()
    assert corpus.answer(SearchRequest.from_json(request.to_json())).to_json() == by_request.to_json()
    with pytest.raises(TypeError, match="colour"):
        corpus.search(window=window, colour="red")  # type: ignore[call-arg]


def test_descriptions_survive_json(fill: Callable[..., Made]) -> None:
    made = fill(count=30)
    corpus = made.open()
    result = corpus.search(window=f"{A}/{made.numbers[A][0]}", k=2)
    assert result.encoder == SPEC.key
    assert QueryDescription.from_json(json.loads(json.dumps(result.query))) == result.description
    for one in (QueryDescription(kind="array", shape=(16, 256), windows=3, note="noise"),
                QueryDescription(kind="file", source="s", file="f", target="", f_start_mhz=1.0, f_stop_mhz=2.0,
                                 polarisation=0, windows=2)):
        assert QueryDescription.from_json(json.loads(json.dumps(one.to_json()))) == one
    assert result.description.with_notes("", "a", "").with_notes("b").note == "a; b"
    assert "note" not in result.description.with_notes("").to_json()
