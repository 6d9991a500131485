"""Carries out one or several searches: windows are cut together, encoded together, and compared together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, Self

from pipeline.catalogue import scans_among
from pipeline.errors import QueryError
from pipeline.search.annotate import annotated
from pipeline.search.arranged_hits import MIN_VOTES, VOTES_PER_HIT, with_arrangement
from pipeline.search.best_hits import first_fetch
from pipeline.search.encoder import count_vectors
from pipeline.search.example_forms import has_examples
from pipeline.search.expand import expansion_of, note_on_expansion
from pipeline.search.families import note_on_families
from pipeline.search.figures import Scores, background_of, kept, note_on_left_out, scores_of, with_chance
from pipeline.search.filters import Filters
from pipeline.search.hits import hits_of, note_on_no_hits
from pipeline.search.label_filter import LabelFilter, note_on_labels
from pipeline.search.nearest import Finder, nearest
from pipeline.search.not_searched import not_searched_of
from pipeline.search.ordered_hits import ordered_hits
from pipeline.search.own_signal import count_own, note_on_own, without_own
from pipeline.search.panels import Panels
from pipeline.search.queries import KeyedQuery, Step, queries_of, reader_of
from pipeline.search.query import Query
from pipeline.search.refined import refinement_of
from pipeline.search.request import SearchRequest
from pipeline.search.reranked import note_on_figures, with_reranked
from pipeline.search.result import SearchResult
from pipeline.search.selection import Selection
from pipeline.search.selection_of_request import selection_of
from pipeline.search.snapshot import OpenCorpus
from pipeline.search.together import MORE_AT_ONCE, find_together
from pipeline.search.unrelated import take_news

MAX_ONE_SHOT_VECTORS = 1_000_000
"""Maximum number of vectors that a process which ends after one search compares one by one, and any refined search.

That takes about a second, as long as loading the library that follows the index."""

Answer = SearchResult | QueryError
"""What a search gives: its result, or why it cannot be carried out."""


@dataclass(frozen=True, slots=True)
class _Searched:
    """The windows that a search may find."""

    selection: Selection
    labels: LabelFilter | None
    """The labels that hits must carry, or must not."""
    findable: int
    """Number of the windows."""
    note: str
    """How many of them labels leave out."""
    counts: Mapping[str, int]
    """Numbers of windows, vectors and sources, as :class:`SearchResult` has them."""
    left_out: tuple[str, ...]
    """Resolution classes that are not searched."""

    @classmethod
    def of(cls, corpus: OpenCorpus, key: str, query: Query, request: SearchRequest) -> Self:
        """Select what a request may find."""
        labels = LabelFilter.of(corpus, request.filters)
        selection = selection_of(corpus, key, query, request)
        findable = selection.count_windows()
        left = labels.count(selection, findable) if labels else findable
        return cls(selection, labels, left, note_on_labels(findable, left) if labels else "",
                   *_counts(corpus, key, selection, left, request))


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request that is ready to be searched for."""

    request: SearchRequest
    key: str
    query: Query
    place: _Searched

    @property
    def count(self) -> int:
        """Number of windows that its search asks for first, for each vector."""
        k = self.request.k
        return max(MIN_VOTES, VOTES_PER_HIT * k) if self.query.description.arranged else first_fetch(k)


@dataclass(frozen=True, slots=True)
class Searcher:
    """What all searches of an open corpus share."""

    corpus: OpenCorpus
    find: Finder
    encoder: str | None
    """Key of the encoder whose vectors are compared unless a request names another."""
    power_of: Callable[[Any], Any]
    """Gives the power of stored windows (:meth:`pipeline.search.Corpus.power_of`)."""

    def answer(self, request: SearchRequest) -> SearchResult:
        """Carry out one search through one view; raise :class:`QueryError` if that is not possible."""
        found = next(iter(self.answers([request])))
        if isinstance(found, QueryError):
            raise found
        return found

    def answers(self, requests: Sequence[SearchRequest], step: Step | None = None) -> Iterator[Answer]:
        """Carry out searches, each through one view; yield what each gives, in their order.

        Parameters
        ----------
        requests : sequence of SearchRequest
        step : callable, optional
            Is told of the progress.
        """
        step = step or (lambda what, done, total: None)
        with self.corpus.outlived():
            asked = self._asked(requests, queries_of(self.corpus, requests, self.encoder, step))
            ready = [one for one in asked if isinstance(one, _Asked)]
            finders = self._finders(ready)
            scores = _scores(ready)
            for i, one in enumerate(asked):
                step("searched", i, len(asked))
                if isinstance(one, QueryError):
                    yield one
                    continue
                its = None if has_examples(one.request) else cache(partial(next, scores[id(one.place)]))
                try:
                    yield self._result(one, finders[id(one.place)], its)
                except QueryError as error:
                    if its:
                        its()  # the next scores are those of the next query
                    yield error

    def _asked(
        self, requests: Sequence[SearchRequest], queries: Sequence[KeyedQuery | QueryError]
    ) -> list[_Asked | QueryError]:
        """Select the windows that each request may find. Requests for the same windows share them."""
        places: dict[Any, _Searched] = {}
        asked: list[_Asked | QueryError] = []
        for request, made in zip(requests, queries, strict=True):
            if isinstance(made, QueryError):
                asked.append(made)
                continue
            query = without_own(made.query, request)
            if not (request.each_window or has_examples(request)):
                query = with_arrangement(query)
            place = made.key, query.resolution, request.view, request.all_resolutions, request.filters
            try:
                if place not in places:
                    places[place] = _Searched.of(self.corpus, made.key, query, request)
            except QueryError as error:
                asked.append(error)
                continue
            is_small = places[place].selection.vector_count <= MAX_ONE_SHOT_VECTORS
            if is_small and (request.one_shot or has_examples(request)):
                request = replace(request, exact=True)
            elif has_examples(request):  # a graph is made for vectors, and a direction may be far from all of them
                request = replace(request, careful=True)
            asked.append(_Asked(request, made.key, query, places[place]))
        return asked

    def _finders(self, asked: Sequence[_Asked]) -> dict[int, Finder]:
        """Find the nearest windows of several queries at once, and return what answers their searches."""
        finders: dict[int, Finder] = {id(one.place): self.find for one in asked}
        if len(asked) < 2 or self.find is not nearest:
            return finders
        for name in finders:
            same = [one for one in asked if id(one.place) == name]
            exact, careful = (all(getattr(one.request, how) for one in same) for how in ("exact", "careful"))
            finders[name] = find_together(
                same[0].place.selection, [vector for one in same for vector in one.query.vectors],
                MORE_AT_ONCE * max(one.count for one in same), self.find, exact=exact, careful=careful)
        return finders

    def _result(self, asked: _Asked, find: Finder, scores: Callable[[], Scores | None] | None) -> SearchResult:
        """Find the hits of a query. Its scores are asked for late, because a thread computes them meanwhile."""
        corpus, request, query, place = self.corpus, asked.request, asked.query, asked.place
        selection, labels = place.selection, place.labels
        find = labels.finder(selection, find) if labels else find
        expansion = expansion_of(request, query, selection, find, labels.holds if labels else None)
        refinement = refinement_of(request, query, selection, reader_of(corpus, asked.key, request))
        if refinement:
            query = refinement.query
        found = ordered_hits(corpus, expansion.query if expansion else query, selection, request, expansion or find,
                             labels.wants if labels else None)
        background = background_of(selection, query, place.findable, scores() if scores else None)
        background = with_reranked(background, request, query, selection)
        hits = hits_of(corpus, query, found)
        if expansion:
            hits = expansion.with_both_scores(selection, hits, [merged for merged, _ in found])
        hits, remark = annotated(corpus, request, query, with_chance(hits, found, background), found)
        best_query = found[0][0].best.query if found else 0
        chosen, own = kept(hits, request, background.reason), count_own(selection, query, request)
        return SearchResult(
            description=query.description.with_notes(
                note_on_expansion(request, query), note_on_no_hits(hits, place.findable, labels is not None),
                place.note, take_news(), note_on_figures(request, background),
                request.limits.note_on(hits, request.k), note_on_left_out(hits, chosen), note_on_own(own), remark,
                note_on_families(corpus, [hit.source_id for hit in chosen])),
            request=request,
            encoder=asked.key,
            resolutions=tuple(sorted(selection.resolutions)),
            resolutions_left_out=place.left_out,
            corpus=place.counts,
            hits=chosen,
            background=background,
            query_window=query.window_at(best_query),
            query_power=partial(query.power_of, best_query),
            power_of=self.power_of,
            panels=Panels(corpus, self.power_of, query, {
                (one.best.window.source_id, one.best.window.number): one.best.query for one, _ in found}),
            refinement=refinement,
            not_searched=not_searched_of(selection),
            own_windows=own,
        )


def _scores(asked: Sequence[_Asked]) -> dict[int, Iterator[Scores | None]]:
    """Start what compares queries with unrelated signals, once for all queries of the same windows."""
    queries: dict[int, list[Query]] = {id(one.place): [] for one in asked}
    for one in asked:
        if not has_examples(one.request):
            queries[id(one.place)].append(one.query)
    return {id(one.place): scores_of(one.place.selection, queries[id(one.place)])
            for one in {id(one.place): one for one in asked}.values()}


def _counts(
    corpus: OpenCorpus, encoder_key: str, selection: Selection, findable: int, request: SearchRequest
) -> tuple[dict[str, int], tuple[str, ...]]:
    """Return the numbers of a result, and the resolution classes that are not searched."""
    manifest = corpus.manifest
    if request.inside and request.filters:
        files = Filters(only_file=request.filters.only_file)
        manifest = replace(manifest, sources={source_id: entry for source_id, entry in manifest.sources.items()
                                              if files.accept_source(source_id, entry)})
    vectors = count_vectors(manifest, encoder_key)
    return {
        "windows": manifest.windows_seen,
        "vectors": vectors.total(),
        "searched": findable,
        "sources": len(scans_among(manifest.sources)),
        "generation": manifest.generation,
    }, tuple(sorted(set(vectors) - selection.resolutions))
