"""Search on a Dask cluster: its workers keep the segments open and ask some of them each; this process merges.

Workers see the corpus under the path that this process does. They search the generation that was opened here, whatever
becomes of the corpus: a worker that does not know it yet says so, and is sent its manifest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import RunError
from pipeline.search import Corpus, Filters
from pipeline.search.at_most import Full
from pipeline.search.nearest import Nearest, nearest
from pipeline.search.opened import OpenCorpus
from pipeline.search.routes import Routes, routes_of
from pipeline.search.scope import Scope
from pipeline.search.searched import Searched
from pipeline.store import Manifest

KEPT_CORPORA = 2
"""Generations that a worker process keeps open: a new one, and the one that others still search."""
KEPT_SCOPES = 16
"""Of each, combinations of filters and segments whose windows it need not look up again."""


def open_on_cluster(corpus: str | PathLike[str], client: Any, *, encoder: str | None = None) -> Corpus:
    """Open a corpus as :func:`pipeline.search.open_corpus` does, to search it on a cluster: the same answers.

    Parameters
    ----------
    corpus : path
        Seen by all workers, too.
    client : distributed.Client
        Used as it is, over TLS or not.
    encoder : str, optional
        See :func:`pipeline.search.open_corpus`, and for errors; a search raises :class:`RunError` besides where there
        are no workers, or they die of it.
    """
    opened = OpenCorpus(Path(corpus).absolute())
    return Corpus(opened, encoder, find=_Spread(client, opened.manifest))


@dataclass(frozen=True, slots=True)
class _Part:
    """What one worker is asked: :func:`nearest`, in some segments and some sources that are in none."""

    encoder_key: str
    resolutions: frozenset[str]
    filters: Filters
    segment_ids: frozenset[str]
    source_ids: frozenset[str]


class _Spread:
    """Does what :func:`nearest` does, on all workers of a cluster."""

    def __init__(self, client: Any, manifest: Manifest) -> None:
        self._client = client
        self._token = hashlib.sha256(manifest.to_json().encode()).hexdigest()

    def __call__(
        self, searched: Searched, vectors: NDArray[np.float32], k: int, *, exact: bool = False, careful: bool = False,
        full: Full | None = None
    ) -> Nearest:
        """Find the ``k`` nearest windows, each worker in its part of the corpus."""
        from distributed import KilledWorker

        workers = sorted(self._client.scheduler_info(n_workers=-1)["workers"])
        if not workers:
            raise RunError(f"{self._client.scheduler.address}: the cluster has no workers to search on")
        parts = _parts(searched, len(workers))
        routes = None if exact else routes_of(searched, vectors, k, careful=careful, full=full)

        def asked(which: Sequence[int], manifest: Manifest | None) -> list[Nearest | None]:
            # another worker may take over: all can search every part
            futures = [self._client.submit(
                find_in_part, searched.corpus.root, self._token, manifest, parts[i], vectors, k, exact, careful, full,
                _of_part(routes, parts[i]), workers=[workers[i]], allow_other_workers=True, pure=False) for i in which]
            return list(self._client.gather(futures))

        try:
            found = asked(range(len(parts)), None)
            if strangers := [i for i, answer in enumerate(found) if answer is None]:
                for i, answer in zip(strangers, asked(strangers, searched.corpus.manifest), strict=True):
                    found[i] = answer
        except KilledWorker as error:
            raise RunError(f"workers die of this search ({error}); give them more memory") from error
        best = Nearest.none()
        for answer in found:
            assert answer is not None
            best = best.best_with(answer, k)
        return best


def _parts(searched: Searched, count: int) -> list[_Part]:
    """Spread segments and sources over at most ``count`` parts of about as many vectors each: the largest first."""
    scope, sources = searched.scope, searched.corpus.manifest.sources
    pieces = [(entry.count, entry.id, True) for entry in scope.segments]
    pieces += [(sources[source_id].vectors[scope.encoder_key], source_id, False) for source_id in scope.unindexed]
    loads = [0] * count
    held: list[tuple[list[str], list[str]]] = [([], []) for _ in range(count)]
    for vectors, name, is_segment in sorted(pieces, key=lambda piece: (-piece[0], piece[1])):
        lightest = loads.index(min(loads))
        loads[lightest] += vectors
        held[lightest][0 if is_segment else 1].append(name)
    return [_Part(scope.encoder_key, scope.resolutions, scope.filters, frozenset(segments), frozenset(unindexed))
            for segments, unindexed in held if segments or unindexed]


def _of_part(routes: Routes | None, part: _Part) -> Routes | None:
    """Return what is asked of the cells that a part has."""
    return None if routes is None else {cell: asked for cell, asked in routes.items() if cell in part.segment_ids}


_held: dict[str, Callable[[_Part], Searched]] = {}
"""In a worker process: digest of a manifest → its corpus, open."""


def find_in_part(
    root: Path, token: str, manifest: Manifest | None, part: _Part, vectors: NDArray[np.float32], k: int, exact: bool,
    careful: bool, full: Full | None, routes: Routes | None,
) -> Nearest | None:
    """Answer from a part of a corpus, in a worker; None where its manifest is not known here and not given."""
    key = f"{root} {token}"
    held = _held.get(key)
    if held is None:
        if manifest is None:
            return None
        held = _held[key] = _opened(root, manifest)
        for oldest in list(_held)[:-KEPT_CORPORA]:
            _held.pop(oldest, None)  # another thread may have, as this one may what another is about to ask
    return nearest(held(part), vectors, k, exact=exact, careful=careful, full=full, routes=routes)


def _opened(root: Path, manifest: Manifest) -> Callable[[_Part], Searched]:
    """Open a corpus; return what gives a part of it, and keeps that."""
    corpus = OpenCorpus(root, manifest)

    @lru_cache(maxsize=KEPT_SCOPES)
    def searched(part: _Part) -> Searched:
        scope = Scope.of(manifest, part.encoder_key, part.resolutions, part.filters)
        return Searched(corpus, replace(
            scope, segments=tuple(entry for entry in scope.segments if entry.id in part.segment_ids),
            unindexed=tuple(name for name in scope.unindexed if name in part.source_ids)))

    return searched
