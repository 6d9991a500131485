"""The user's door to a corpus: open it, search it, ask what is in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import QueryError
from pipeline.model import Hit, Match
from pipeline.search.at_most import AtMost
from pipeline.search.encoder import encoder_key, vectors_held
from pipeline.search.filters import Filters
from pipeline.search.from_file import query_of_range, query_of_window
from pipeline.search.from_power import query_of_power
from pipeline.search.hits import best_hits, window_of
from pipeline.search.merge import Merged
from pipeline.search.nearest import Finder, nearest
from pipeline.search.opened import OpenCorpus
from pipeline.search.query import Query, relative_power, with_note
from pipeline.search.result import SearchResult
from pipeline.search.scope import Scope
from pipeline.search.searched import Searched
from pipeline.search.status import CorpusStatus, status_of
from pipeline.text import counted

ONE_SHOT_SCANS = 1_000_000
"""Vectors that are scanned within about the second that loading what follows a graph takes."""

_SecondLook = Callable[[Sequence[Merged]], "Sequence[tuple[Merged, Match | None]]"]


def open_corpus(corpus: str | PathLike[str] = "corpus", *, encoder: str | None = None) -> Corpus:
    """Open a corpus for reading, as it is now: what a run adds later is not seen.

    Parameters
    ----------
    corpus : path
    encoder : str, optional
        Name or key of the encoder whose vectors are compared where a search names none; default: that of
        ``corpus.toml``, in the version that has most vectors here.

    Raises
    ------
    QueryError
        The corpus has no vectors of ``encoder``.
    CorpusNotFound
        There is none in this folder; the message says how to make one.
    CorpusDamaged, CorpusMismatch
        It is not what was written, or a newer version of the program wrote it.
    """
    return Corpus(OpenCorpus(Path(corpus)), encoder)


class Corpus:
    """One generation of a corpus. Threads may share it."""

    def __init__(self, opened: OpenCorpus, encoder: str | None = None, find: Finder = nearest) -> None:
        self._corpus = opened
        self._best_hits = partial(best_hits, find=find)
        self._encoder = encoder_key(opened, encoder) if encoder else None

    @property
    def root(self) -> Path:
        """The folder."""
        return self._corpus.root

    @property
    def generation(self) -> int:
        """Number of the generation that is searched."""
        return self._corpus.manifest.generation

    def status(self) -> CorpusStatus:
        """Count what is in the corpus."""
        try:
            default = encoder_key(self._corpus, self._encoder)
        except QueryError:  # there are no vectors that a search would compare
            default = ""
        return status_of(self.root, self._corpus.manifest, default)

    def search(
        self,
        *,
        file: str | PathLike[str] | None = None,
        f_start_mhz: float | None = None,
        f_stop_mhz: float | None = None,
        window: str | None = None,
        power: Any = None,
        k: int = 10,
        exact: bool = False,
        careful: bool = False,
        encoder: str | None = None,
        polarisation: int | None = None,
        all_resolutions: bool = False,
        rerank: bool = False,
        rerank_drift: bool = False,
        rerank_mirror: bool = False,
        near_frequency: float = 0.0,
        filters: Filters | None = None,
        per_file: int | None = None,
        per_mhz: int | None = None,
        one_shot: bool = False,
    ) -> SearchResult:
        """Find the windows of the corpus that look like a pattern, which is one of:

        - ``file`` with ``f_start_mhz`` and ``f_stop_mhz``: a range of a file, in the corpus or not, in all its time
          blocks. Up to one and a half windows wide, it is looked at through one window; wider, through several;
        - ``window``: ``SOURCE/NUMBER``, a window of the corpus, its source named by id, beginning of the id or file;
        - ``power``: an array of linear power (spectra, channels), ascending frequency, of any size.

        Windows that overlap the query itself are no hits. Windows that touch each other and score alike are one hit
        (:func:`pipeline.search.merge.merge`).

        Parameters
        ----------
        k : int
            Hits to return; fewer where there are not so many.
        exact : bool
            Compare with every vector, instead of following the index.
        careful : bool
            Follow the index farther: it takes longer, and less is missed.
        encoder : str, optional
            Name or key of the encoder whose vectors are compared; by default the one the corpus was opened with. Of
            several versions of one name, that of ``corpus.toml``; for another, or if it is none of them, give the key.
        polarisation : int, optional
            Product of ``file`` to look at; by default the one the corpus was made of.
        all_resolutions : bool
            Search all resolution classes, not only that of the query (of an array: the largest).
        rerank : bool
            Compare the best hits with the query once more, cutout with cutout, and order them by both scores
            (:mod:`pipeline.search.rerank`); each hit then has a ``match``.
        rerank_drift, rerank_mirror : bool
            Let hits drift up to a channel a spectrum more or less than the query, or be its mirror image in frequency.
        near_frequency : float
            How much nearness to the query's frequency counts beside the pattern in the order of hits, after the
            published frequency embedding: 0 for nothing, 1 for as much. Not with ``rerank``, nor for an array.
        filters : Filters, optional
            What hits must be: of some frequencies, files, targets, telescopes or times. It is as if the corpus held no
            other windows.
        per_file, per_mhz : int, optional
            Most hits that one source may give, or one MHz: those that begin, say, from 1532 MHz on and below 1533.
        one_shot : bool
            The process ends after this search: up to a million vectors are rather scanned than the graph's library
            loaded, which takes longer.

        Raises
        ------
        QueryError
            The query names something that is not there, or shows nothing; or a filter leaves nothing to find.
        EncoderError
            The query must be embedded, and the encoder cannot be had.
        CorpusDamaged
            Something in the corpus is missing or altered.
        """
        if k < 1:
            raise QueryError(f"k must be at least 1, got {k}")
        if (rerank_drift or rerank_mirror) and not rerank:
            raise QueryError("rerank_drift and rerank_mirror go with rerank")
        if not 0 <= near_frequency < float("inf"):
            raise QueryError(f"near_frequency must be 0 or more, got {near_frequency}")
        if near_frequency and (rerank or power is not None):
            raise QueryError(f"near_frequency does not go with {'rerank' if rerank else 'an array, which has none'}")
        at_most = AtMost(per_file, per_mhz)
        with self._corpus.outlived():
            key = encoder_key(self._corpus, encoder or self._encoder)
            query = self._query(key, file, f_start_mhz, f_stop_mhz, polarisation, window, power)
            searched = Searched(self._corpus, self._scope(key, query, all_resolutions, filters or Filters()))
            scope, findable = searched.scope, searched.count()
            exact = exact or (one_shot and scope.count <= ONE_SHOT_SCANS)
            second_look = self._second_look(query, rerank, rerank_drift, rerank_mirror, near_frequency)
            found = self._found(query, searched, k, exact, careful, at_most, second_look)
            hits = tuple(self._hit(rank, query, merged, match) for rank, (merged, match) in enumerate(found, start=1))
        if near_frequency:
            from pipeline.search.second_look import nearness_of

            hits = tuple(replace(hit, nearness=nearness_of(query, merged))
                         for hit, (merged, _) in zip(hits, found, strict=True))
        best_query = found[0][0].best.query if found else 0
        left_out = sorted(set(vectors_held(self._corpus.manifest, key)) - scope.resolutions)
        return SearchResult(
            query={**with_note(query.record, _said_of_none(hits, findable), at_most.said_of(hits, k)),
                   "encoder": key,
                   "resolutions": sorted(scope.resolutions), "resolutions_left_out": left_out, "k": k, "exact": exact,
                   "careful": careful,
                   "rerank": rerank, "rerank_drift": rerank_drift, "rerank_mirror": rerank_mirror,
                   "near_frequency": near_frequency, "filters": scope.filters.to_json(), "per_file": per_file,
                   "per_mhz": per_mhz},
            corpus=self._counts(key, findable),
            hits=hits,
            query_window=query.window_at(best_query),
            query_power=partial(query.power_of, best_query),
        )

    def power_of(self, hits: Iterable[Hit]) -> list[NDArray[np.float64]]:
        """Recover the power of hits from their cutouts: (T, F) each, noise at 1, masked pixels NaN. Needs no file."""
        images = []
        with self._corpus.outlived():
            for hit in hits:
                row = self._corpus.rows(hit.source_id, np.array([hit.window.number]))
                cutout = self._corpus.windows(hit.source_id).cutouts(row)[0]
                images.append(relative_power(cutout, float(self._corpus.column(hit.source_id, "spread", row)[0])))
        return images

    def _query(
        self, key: str, file: str | PathLike[str] | None, f_start_mhz: float | None, f_stop_mhz: float | None,
        polarisation: int | None, window: str | None, power: Any,
    ) -> Query:
        given = [name for name, value in (("file", file), ("window", window), ("power", power)) if value is not None]
        if len(given) != 1:
            raise QueryError(f"give one of file, window and power, got {' and '.join(given) or 'none'}")
        if file is not None:
            if f_start_mhz is None or f_stop_mhz is None:
                raise QueryError(f"{fspath(file)}: give f_start_mhz and f_stop_mhz, the range to look for")
            return query_of_range(self._corpus, key, fspath(file), f_start_mhz, f_stop_mhz, polarisation)
        if window is not None:
            return query_of_window(self._corpus, key, window)
        return query_of_power(self._corpus, key, power)

    def _scope(self, encoder_key: str, query: Query, all_resolutions: bool, filters: Filters) -> Scope:
        held = vectors_held(self._corpus.manifest, encoder_key)
        wanted = query.resolution or max(sorted(held), key=lambda resolution: held[resolution])
        if wanted not in held and not all_resolutions:
            raise QueryError(f"{query.record['file']} has resolution {wanted}, the corpus only "
                             f"{', '.join(sorted(held))}; to compare them all the same, ask for all resolutions")
        resolutions = frozenset(held if all_resolutions else {wanted})
        return Scope.of(self._corpus.manifest, encoder_key, resolutions, filters)

    def _second_look(
        self, query: Query, rerank: bool, drift: bool, mirror: bool, near_frequency: float
    ) -> _SecondLook | None:
        """Return what puts hits into a new order, if anything is to; both ways load scipy."""
        if rerank:
            from pipeline.search.second_look import look_again

            return partial(look_again, self._corpus, query, drift=drift, mirror=mirror)
        if near_frequency:
            from pipeline.search.second_look import nearby_first

            return lambda hits: [(hit, None) for hit in nearby_first(query, hits, near_frequency)]
        return None

    def _found(
        self, query: Query, searched: Searched, k: int, exact: bool, careful: bool, at_most: AtMost,
        second_look: _SecondLook | None,
    ) -> list[tuple[Merged, Match | None]]:
        """Return the ``k`` best hits by cosine, or of the best by cosine those that a second look prefers."""
        best_hits = partial(self._best_hits, searched, query, exact=exact, careful=careful)
        if second_look is None:
            return [(hit, None) for hit in best_hits(k, at_most=at_most)]
        from pipeline.search.second_look import POOL

        pool = best_hits(max(k, POOL))
        if at_most:
            # of twice as many that differ enough, any order leaves k
            others = best_hits(2 * k, at_most=at_most)
            pool = list({(hit.best.window.source_id, hit.best.window.number): hit for hit in (*others, *pool)}.values())
            pool.sort(key=lambda hit: (-hit.best.score, hit.best.window.source_id, hit.best.window.number))
        return at_most.pick(second_look(pool), k, lambda found: window_of(found[0]))[0]

    def _hit(self, rank: int, query: Query, merged: Merged, match: Match | None) -> Hit:
        window = merged.best.window
        entry = self._corpus.manifest.sources[window.source_id]
        row = self._corpus.rows(window.source_id, np.array([window.number]))
        snr = self._corpus.column(window.source_id, "snr", row)
        return Hit(
            rank=rank,
            score=merged.best.score,
            window=window,
            source_id=window.source_id,
            file=entry.path,
            target=entry.header.source_name,
            telescope_id=entry.header.telescope_id,
            snr=float(snr[0]),
            merged=merged.others,
            match=match,
            query_window=query.window_at(merged.best.query),
        )

    def _counts(self, encoder_key: str, findable: int) -> dict[str, int]:
        manifest = self._corpus.manifest
        return {
            "windows": sum(entry.windows_seen for entry in manifest.sources.values()),
            "vectors": vectors_held(manifest, encoder_key).total(),
            "searched": findable,
            "sources": len(manifest.sources),
            "generation": manifest.generation,
        }


def _said_of_none(hits: Sequence[Hit], findable: int) -> str:
    """Say why there is no hit though something was searched: the query alone keeps a window from being one."""
    if hits or not findable:
        return ""
    return f"no hits: of {counted(findable, 'signal')} searched, all overlap the query and are left out"
