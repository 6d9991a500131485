"""From requests to queries: each file is opened once, windows are cut together, and encoded together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from os import fspath

from pipeline.errors import QueryError
from pipeline.model import Window
from pipeline.search.draft import Draft, encoded
from pipeline.search.encoder import encoder_key
from pipeline.search.examples import ExampleReader
from pipeline.search.frequency_range import Range
from pipeline.search.from_file import draft_of_range, draft_of_window, first_windows, origin_of_file
from pipeline.search.from_names import draft_of_vectors, draft_of_windows
from pipeline.search.from_power import draft_of_power
from pipeline.search.from_signal import draft_of_signal
from pipeline.search.origin import Origin, cut_together
from pipeline.search.query import Query
from pipeline.search.request import SearchRequest
from pipeline.search.snapshot import OpenCorpus
from pipeline.search.views import view_named

COARSE_CHANNELS_AT_ONCE = 4
"""Coarse channels that are read between two reports of progress."""

Step = Callable[[str, int, int], None]
"""Is told what is done, for how many queries it is done, and how many there are."""


@dataclass(frozen=True, slots=True)
class KeyedQuery:
    """A query, and the key of the encoder that made its vectors."""

    key: str
    query: Query


def queries_of(
    corpus: OpenCorpus, requests: Sequence[SearchRequest], default: str | None, step: Step
) -> list[KeyedQuery | QueryError]:
    """Make the queries of some requests.

    Parameters
    ----------
    requests : sequence of SearchRequest
    default : str, optional
        Key of the encoder where a request names none.
    step : callable

    Returns
    -------
    list of KeyedQuery or QueryError
        One for each request; the error where it cannot be used.

    Raises
    ------
    EncoderError
        A query must be encoded, and the encoder is not available.
    """
    drafting = _Drafting(corpus, default)
    if len(requests) > 1:
        drafting.cut(requests, step)
    found: dict[int, KeyedQuery | QueryError] = {}
    drafts: dict[str, dict[int, Draft]] = {}
    for i, request in enumerate(requests):
        try:
            key, draft = drafting.draft(request)
        except QueryError as error:
            found[i] = error
        else:
            drafts.setdefault(key, {})[i] = draft
    for key, of_key in drafts.items():
        step("encoded", len(found), len(requests))
        for i, query in zip(of_key, encoded(corpus, key, list(of_key.values())), strict=True):
            found[i] = query if isinstance(query, QueryError) else KeyedQuery(key, query)
    return [found[i] for i in range(len(requests))]


class _Drafting:
    """Makes drafts of requests. It opens each file once."""

    def __init__(self, corpus: OpenCorpus, default: str | None) -> None:
        self._corpus, self._default = corpus, default
        self._origins: dict[tuple[str, int | None], Origin | QueryError] = {}

    def draft(self, request: SearchRequest) -> tuple[str, Draft]:
        """Return the key of a request's encoder, and the draft of its query."""
        corpus, key = self._corpus, self._key(request)
        if request.is_by_example:
            return key, reader_of(corpus, key, request).draft_of(request.like[0])
        if request.file is not None:
            origin, wanted = self._origin(request), _range(request)
            return key, draft_of_range(corpus, key, origin, wanted, view_named(request.view, corpus.manifest))
        if isinstance(request.window, str):
            return key, draft_of_window(corpus, key, request.window)
        if request.window is not None:
            return key, draft_of_windows(corpus, key, request.window)
        if request.signal is not None:
            return key, draft_of_signal(corpus, key, request.signal, view_named(request.view, corpus.manifest))
        if request.vector is not None:
            return key, draft_of_vectors(corpus, key, request.vector)
        return key, draft_of_power(corpus, key, request.power)

    def cut(self, requests: Sequence[SearchRequest], step: Step) -> None:
        """Cut the windows that ranges of files begin with, so that each coarse channel of a file is read once.

        Whatever is wrong with a request is found when its draft is made.
        """
        wanted: dict[tuple[str, int | None], list[Window]] = {}
        for request in requests:
            if request.file is None or request.view is not None:
                continue
            try:
                origin = self._origin(request)
                windows = first_windows(self._corpus, self._key(request), origin, _range(request))
            except QueryError:
                continue
            wanted.setdefault(_file_of(request), []).extend(windows)
        total, done = sum(map(len, wanted.values())), 0
        for file, windows in wanted.items():
            opened = self._origins[file]
            assert isinstance(opened, Origin)
            for some in _by_coarse_channels(opened, windows):
                step("windows cut", done, total)
                cut_together(self._corpus, opened, some)
                done += len(some)

    def _key(self, request: SearchRequest) -> str:
        return encoder_key(self._corpus, request.encoder or self._default)

    def _origin(self, request: SearchRequest) -> Origin:
        file = _file_of(request)
        if file not in self._origins:
            try:
                self._origins[file] = origin_of_file(self._corpus, *file)
            except QueryError as error:
                self._origins[file] = error
        origin = self._origins[file]
        if isinstance(origin, QueryError):
            raise origin
        return origin


def reader_of(corpus: OpenCorpus, encoder_key: str, request: SearchRequest) -> ExampleReader:
    """Return what reads the examples of a request."""
    return ExampleReader(corpus, encoder_key, view_named(request.view, corpus.manifest), request.polarisation)


def _file_of(request: SearchRequest) -> tuple[str, int | None]:
    assert request.file is not None
    return fspath(request.file), request.polarisation


def _range(request: SearchRequest) -> Range:
    assert request.f_start_mhz is not None
    assert request.f_stop_mhz is not None
    return Range(request.f_start_mhz, request.f_stop_mhz, request.t_start_s, request.t_stop_s)


def _by_coarse_channels(origin: Origin, windows: Sequence[Window]) -> Iterator[list[Window]]:
    """Divide windows into groups that lie in a few coarse channels each."""
    by_place: dict[tuple[int, int], list[Window]] = {}
    for window in windows:
        by_place.setdefault((window.spectrum_start, origin.tiling.coarse_at(window.channel_start)), []).append(window)
    places = sorted(by_place)
    for first in range(0, len(places), COARSE_CHANNELS_AT_ONCE):
        yield [window for place in places[first : first + COARSE_CHANNELS_AT_ONCE] for window in by_place[place]]
