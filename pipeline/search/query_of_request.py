"""The query that a request asks for."""

from __future__ import annotations

from os import fspath

from pipeline.search.examples import ExampleReader
from pipeline.search.frequency_range import Range
from pipeline.search.from_file import query_of_range, query_of_window
from pipeline.search.from_power import query_of_power
from pipeline.search.query import Query
from pipeline.search.request import SearchRequest
from pipeline.search.snapshot import OpenCorpus
from pipeline.search.views import view_named


def reader_of(corpus: OpenCorpus, encoder_key: str, request: SearchRequest) -> ExampleReader:
    """Return what reads the examples of a request."""
    return ExampleReader(corpus, encoder_key, view_named(request.view, corpus.manifest), request.polarisation)


def query_of_request(corpus: OpenCorpus, encoder_key: str, request: SearchRequest) -> Query:
    """Make a query of the pattern of a request, or of its first example if there is none.

    Raises
    ------
    QueryError
        The pattern names something that is not there, or shows nothing.
    """
    if request.is_by_example:
        return reader_of(corpus, encoder_key, request).query_of(request.like[0])
    if request.file is not None:
        assert request.f_start_mhz is not None
        assert request.f_stop_mhz is not None
        wanted = Range(request.f_start_mhz, request.f_stop_mhz, request.t_start_s, request.t_stop_s)
        return query_of_range(corpus, encoder_key, fspath(request.file), wanted, request.polarisation,
                              view_named(request.view, corpus.manifest))
    if request.window is not None:
        return query_of_window(corpus, encoder_key, request.window)
    return query_of_power(corpus, encoder_key, request.power)
