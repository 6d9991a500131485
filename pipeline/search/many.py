"""Several searches at once, and the forms that a query may have in Python."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from pipeline.catalogue import Session
from pipeline.errors import ParameterError, QueryError
from pipeline.search.answer import Answer, Searcher
from pipeline.search.from_power import is_waterfall
from pipeline.search.queries import Step
from pipeline.search.request import SearchRequest
from pipeline.search.result import SearchResult
from pipeline.search.session_table import sessions_in


def request_of(query: Any, how: Mapping[str, Any]) -> SearchRequest:
    """Make a request of a query in any form.

    Parameters
    ----------
    query
        A request; a mapping of its parameters; the name of a window, or a list of names; an array of power, which has
        two axes, or a vector, which has one; or a ``blimpy.Waterfall``.
    how : mapping
        Parameters of all queries. Those of the query itself take precedence.

    Raises
    ------
    ParameterError
        The query has none of these forms, or a parameter cannot be used.
    """
    match query:
        case SearchRequest():
            if how:
                raise ParameterError("a SearchRequest says itself how to search: give no other parameters with it")
            return query
        case Mapping():
            return SearchRequest(**{**how, **query})
        case str():
            return SearchRequest(window=query, **how)
    if is_waterfall(query):
        return SearchRequest(power=query, **how)
    if isinstance(query, Sequence) and query and all(isinstance(one, str) for one in query):
        return SearchRequest(window=tuple(query), **how)
    array = query if isinstance(query, np.ndarray) else np.asarray(query)
    if array.dtype.kind in "iuf" and array.size and array.ndim in (1, 2):
        return SearchRequest(**{"vector" if array.ndim == 1 else "power": query}, **how)
    raise ParameterError(f"a query is a window, a list of windows, an array, a vector, a Waterfall or a mapping of "
                         f"parameters, got {type(query).__name__}")


def answers_to(
    searcher: Searcher, by_score: Callable[[SearchRequest], SearchResult], requests: Sequence[SearchRequest],
    step: Step | None = None,
) -> Iterator[Answer]:
    """Carry out searches together; yield what each gives, in their order.

    A search through all views is carried out by itself.

    Parameters
    ----------
    searcher : Searcher
    by_score : callable
        Carries out one search, without ON/OFF.
    requests : sequence of SearchRequest
    step : callable, optional
        Is told of the progress: what is done, for how many queries it is done, and how many there are.
    """
    sessions: list[Session] | None = None
    found = searcher.answers([request for request in requests if not request.all_views], step)
    for request in requests:
        try:
            one = by_score(request) if request.all_views else next(found)
            if isinstance(one, SearchResult) and (request.on_off or request.on_only):
                sessions = sessions or sessions_in(searcher.corpus.root, searcher.corpus.manifest)
                one = _with_on_off(searcher, by_score, request, one, sessions)
        except QueryError as error:
            one = error
        yield one


def _with_on_off(
    searcher: Searcher, by_score: Callable[[SearchRequest], SearchResult], request: SearchRequest,
    found: SearchResult, sessions: Sequence[Session],
) -> SearchResult:
    """Judge the hits of a search. It is carried out again only if more hits are wanted."""
    from pipeline.search.on_off import answer_with_on_off

    def answer(asked: SearchRequest) -> SearchResult:
        return found if asked.k == request.k else by_score(asked)

    return answer_with_on_off(searcher.corpus, request, answer, sessions)


def results_of(answers: Iterator[Answer]) -> list[SearchResult]:
    """Return the results of searches; raise the error of the first one that cannot be carried out, and name it."""
    results = []
    for i, answer in enumerate(answers):
        if isinstance(answer, QueryError):
            raise type(answer)(f"query {i}: {answer}") from answer
        results.append(answer)
    return results
