"""Search on a Dask cluster: each worker searches some of the segments, and this process merges the results.

Workers must see the corpus under the same path as this process. They search the generation that was opened here, even
if the corpus changes. A worker that does not know this generation yet says so, and is sent its manifest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.catalogue import Manifest
from pipeline.errors import RunError
from pipeline.execute.workers import workers_of
from pipeline.search import Corpus, Filters, FullPlaces, Nearest, OpenCorpus, Routes, Selection, routes_of
from pipeline.search.nearest import nearest

MAX_OPEN_CORPORA = 2
"""Maximum number of generations that a worker process keeps open: a new one, and one that others still search."""
MAX_KEPT_SELECTIONS = 16
"""Maximum number of selections that a worker keeps per generation, with the rows that it has looked up."""


def open_on_cluster(corpus: str | PathLike[str], client: Any, *, encoder: str | None = None) -> Corpus:
    """Open a corpus for reading, to search it on a cluster. The hits are the same as those of a search in this process.

    Parameters
    ----------
    corpus : path
        Folder of the corpus. All workers must see it under this path.
    client : distributed.Client
        Connection to the cluster.
    encoder : str, optional
        Name or key of the encoder whose vectors are compared unless a search names another. Default: the encoder of
        ``corpus.toml``.

    Raises
    ------
    QueryError, CorpusNotFound, CorpusDamaged, CorpusMismatch
        See :func:`pipeline.search.open_corpus`.
    RunError
        Raised by a search: the cluster has no workers, or the search kills them.
    """
    return search_on_cluster(OpenCorpus(Path(corpus).absolute()), client, encoder=encoder)


def search_on_cluster(opened: OpenCorpus, client: Any, *, encoder: str | None = None) -> Corpus:
    """Return a generation that was opened here as one that is searched on a cluster.

    Parameters
    ----------
    opened : OpenCorpus
        Its root is an absolute path, under which all workers see the corpus.
    client, encoder
        See :func:`open_on_cluster`, which also lists the errors.
    """
    return Corpus(opened, encoder, find=_OnCluster(client, opened.manifest))


@dataclass(frozen=True, slots=True)
class _Part:
    """What one worker searches: some segments, and some sources that are in no segment."""

    encoder_key: str
    resolutions: frozenset[str]
    filters: Filters
    segment_ids: frozenset[str]
    source_ids: frozenset[str]


class _OnCluster:
    """Finds the nearest windows as :func:`nearest` does, on all workers of a cluster."""

    def __init__(self, client: Any, manifest: Manifest) -> None:
        self._client = client
        self._token = hashlib.sha256(manifest.to_json().encode()).hexdigest()

    def __call__(
        self, selection: Selection, vectors: NDArray[np.float32], k: int, *, exact: bool = False,
        careful: bool = False, full: FullPlaces | None = None,
    ) -> Nearest:
        """Find the ``k`` nearest windows, each worker in its part of the corpus."""
        from distributed import KilledWorker

        workers = sorted(workers_of(self._client))
        if not workers:
            raise RunError(f"{self._client.scheduler.address}: the cluster has no workers to search on")
        parts = _parts(selection, len(workers))
        routes = None if exact else routes_of(selection, vectors, k, careful=careful, full=full)

        def search_parts(which: Sequence[int], manifest: Manifest | None) -> list[Nearest | None]:
            # any worker can search any part, so another one may take over
            futures = [self._client.submit(
                find_in_part, selection.corpus.root, self._token, manifest, parts[i], vectors, k, exact, careful, full,
                _routes_of_part(routes, parts[i]), workers=[workers[i]], allow_other_workers=True, pure=False)
                for i in which]
            return list(self._client.gather(futures))

        try:
            found = search_parts(range(len(parts)), None)
            if unknown := [i for i, answer in enumerate(found) if answer is None]:
                for i, answer in zip(unknown, search_parts(unknown, selection.corpus.manifest), strict=True):
                    found[i] = answer
        except KilledWorker as error:
            raise RunError(f"workers die of this search ({error}); give them more memory") from error
        best = Nearest.none()
        for answer in found:
            assert answer is not None
            best = best.best_with(answer, k)
        return best


def _parts(selection: Selection, count: int) -> list[_Part]:
    """Divide segments and unindexed sources into at most ``count`` parts with about equal numbers of vectors.

    The largest are assigned first, each to the part with the fewest vectors.
    """
    key, sources = selection.encoder_key, selection.corpus.manifest.sources
    pieces = [(entry.count, entry.id, True) for entry in selection.segments]
    pieces += [(sources[source_id].vectors[key], source_id, False) for source_id in selection.unindexed]
    loads = [0] * count
    assigned: list[tuple[list[str], list[str]]] = [([], []) for _ in range(count)]
    for vectors, name, is_segment in sorted(pieces, key=lambda piece: (-piece[0], piece[1])):
        lightest = loads.index(min(loads))
        loads[lightest] += vectors
        assigned[lightest][0 if is_segment else 1].append(name)
    return [_Part(key, selection.resolutions, selection.filters, frozenset(segments), frozenset(unindexed))
            for segments, unindexed in assigned if segments or unindexed]


def _routes_of_part(routes: Routes | None, part: _Part) -> Routes | None:
    """Return the routes to the cells of a part."""
    return None if routes is None else {cell: queries for cell, queries in routes.items() if cell in part.segment_ids}


_open_corpora: dict[str, Callable[[_Part], Selection]] = {}
"""In a worker process: root and digest of a manifest → a function that selects a part of that open corpus."""


def find_in_part(
    root: Path, token: str, manifest: Manifest | None, part: _Part, vectors: NDArray[np.float32], k: int, exact: bool,
    careful: bool, full: FullPlaces | None, routes: Routes | None,
) -> Nearest | None:
    """Find the nearest windows in a part of a corpus. Runs in a worker.

    Parameters
    ----------
    token : str
        Digest of the manifest of the generation to search.
    manifest : Manifest, optional
        That manifest; left out in the first attempt.

    Returns
    -------
    Nearest or None
        None if this worker does not know the manifest and did not get it.
    """
    key = f"{root} {token}"
    select = _open_corpora.get(key)
    if select is None:
        if manifest is None:
            return None
        select = _open_corpora[key] = _open(root, manifest)
        for oldest in list(_open_corpora)[:-MAX_OPEN_CORPORA]:
            _open_corpora.pop(oldest, None)  # another thread may have removed it; whoever needs it opens it again
    return nearest(select(part), vectors, k, exact=exact, careful=careful, full=full, routes=routes)


def _open(root: Path, manifest: Manifest) -> Callable[[_Part], Selection]:
    """Open a corpus; return a function that selects a part of it, and keeps the latest selections."""
    corpus = OpenCorpus(root, manifest)

    @lru_cache(maxsize=MAX_KEPT_SELECTIONS)
    def select(part: _Part) -> Selection:
        selection = Selection.of(corpus, part.encoder_key, part.resolutions, part.filters)
        return selection.part(part.segment_ids, part.source_ids)

    return select
