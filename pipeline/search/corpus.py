"""The user's door to a corpus: open it, search it, ask what is in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import partial
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import QueryError
from pipeline.model import Hit, Match
from pipeline.search.from_file import query_of_range, query_of_window
from pipeline.search.from_power import query_of_power
from pipeline.search.hits import best_hits
from pipeline.search.merge import Merged
from pipeline.search.nearest import Scope
from pipeline.search.opened import OpenCorpus
from pipeline.search.query import Query, relative_power
from pipeline.search.result import SearchResult
from pipeline.search.status import CorpusStatus, status_of

ONE_SHOT_SCANS = 1_000_000
"""Vectors that are scanned within the second or two that loading pynndescent takes."""


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

    def __init__(self, opened: OpenCorpus, encoder: str | None = None) -> None:
        self._corpus = opened
        self._encoder = self._encoder_key(encoder) if encoder else None

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
        return status_of(self.root, self._corpus.manifest)

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
        encoder: str | None = None,
        polarisation: int | None = None,
        all_resolutions: bool = False,
        rerank: bool = False,
        rerank_drift: bool = False,
        rerank_mirror: bool = False,
        near_frequency: float = 0.0,
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
        encoder : str, optional
            Name or key of the encoder whose vectors are compared; by default the one the corpus was opened with. A name
            will do where there are vectors of one version alone.
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
        one_shot : bool
            The process ends after this search: up to a million vectors are rather scanned than the graph's library
            loaded, which takes longer.

        Raises
        ------
        QueryError
            The query names something that is not there, or shows nothing.
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
        encoder_key = self._encoder_key(encoder)
        given = [name for name, value in (("file", file), ("window", window), ("power", power)) if value is not None]
        if len(given) != 1:
            raise QueryError(f"give one of file, window and power, got {' and '.join(given) or 'none'}")
        if file is not None:
            if f_start_mhz is None or f_stop_mhz is None:
                raise QueryError(f"{fspath(file)}: give f_start_mhz and f_stop_mhz, the range to look for")
            query = query_of_range(self._corpus, encoder_key, fspath(file), f_start_mhz, f_stop_mhz, polarisation)
        elif window is not None:
            query = query_of_window(self._corpus, encoder_key, window)
        else:
            query = query_of_power(self._corpus, encoder_key, power)
        scope = self._scope(encoder_key, query, all_resolutions)
        exact = exact or (one_shot and scope.count <= ONE_SHOT_SCANS)
        if rerank:
            found = self._reranked(query, scope, k, exact, rerank_drift, rerank_mirror)
        else:
            found = [(merged, None) for merged in self._found(query, scope, k, exact, near_frequency)]
        best_query = found[0][0].best.query if found else 0
        left_out = sorted(set(self._resolutions(encoder_key)) - scope.resolutions)
        return SearchResult(
            query={**query.record, "encoder": encoder_key, "resolutions": sorted(scope.resolutions),
                   "resolutions_left_out": left_out, "k": k, "exact": exact, "rerank": rerank,
                   "rerank_drift": rerank_drift, "rerank_mirror": rerank_mirror,
                   "near_frequency": near_frequency},
            corpus=self._counts(encoder_key),
            hits=tuple(self._hit(rank, merged, match) for rank, (merged, match) in enumerate(found, start=1)),
            query_window=query.windows[best_query] if query.windows else None,
            query_power=partial(query.power_of, best_query),
        )

    def power_of(self, hits: Iterable[Hit]) -> list[NDArray[np.float64]]:
        """Recover the power of hits from their cutouts: (T, F) each, noise at 1, masked pixels NaN. Needs no file."""
        images = []
        for hit in hits:
            row = self._corpus.rows(hit.source_id, np.array([hit.window.number]))
            group = self._corpus.windows(hit.source_id)
            images.append(relative_power(group.cutouts(row)[0], float(group.column("spread", row)[0])))
        return images

    def _encoder_key(self, name: str | None) -> str:
        """Key of the encoder asked for, which must have made vectors."""
        manifest, asked = self._corpus.manifest, name or self._encoder
        wanted = asked or self._corpus.config.encoder.name
        held = {key: spec for key, spec in manifest.encoders.items() if self._resolutions(key)}
        keys = [key for key, spec in held.items() if wanted in (key, spec.name)]
        if not keys:
            make = f"embed --encoder {wanted}" if manifest.sources else "ingest DATA"
            raise QueryError(f"{self.root}: has no vectors of encoder {wanted}, but of "
                             f"{', '.join(sorted(held)) or 'no encoder'}; make some with: lookalike {make} "
                             f"--corpus {self.root}")
        # vectors of weights that somebody tries out never take the place of those that an ingest makes
        config = self._corpus.config.encoder
        own = [key for key in keys if (held[key].name, manifest.weights.get(key, "")) == (config.name, config.weights)]
        if asked is not None and len(keys) > 1 and len(own) != 1:
            raise QueryError(f"{self.root}: has vectors of several encoders named {wanted}; give the key of one: "
                             f"{', '.join(sorted(keys))}")
        # of the versions of one encoder, the one with most vectors; of equals, the newest
        return max(reversed(own or keys), key=lambda key: self._resolutions(key).total())

    def _resolutions(self, encoder_key: str) -> Counter[str]:
        """Resolution class → vectors of an encoder."""
        counts: Counter[str] = Counter()
        for entry in self._corpus.manifest.sources.values():
            counts[entry.resolution] += entry.vectors.get(encoder_key, 0)
        return +counts

    def _scope(self, encoder_key: str, query: Query, all_resolutions: bool) -> Scope:
        held = self._resolutions(encoder_key)
        wanted = query.resolution or max(sorted(held), key=lambda resolution: held[resolution])
        if wanted not in held and not all_resolutions:
            raise QueryError(f"{query.record['file']} has resolution {wanted}, the corpus only "
                             f"{', '.join(sorted(held))}; to compare them all the same, ask for all resolutions")
        return Scope.of(self._corpus.manifest, encoder_key, frozenset(held if all_resolutions else {wanted}))

    def _found(self, query: Query, scope: Scope, k: int, exact: bool, near_frequency: float) -> list[Merged]:
        """Return the ``k`` best hits by cosine, or by cosine and frequency."""
        if not near_frequency:
            return best_hits(self._corpus, query, scope, k, exact=exact)
        from pipeline.search.second_look import POOL, nearby_first  # loads scipy

        hits = best_hits(self._corpus, query, scope, max(k, POOL), exact=exact)
        return nearby_first(query, hits, near_frequency)[:k]

    def _reranked(
        self, query: Query, scope: Scope, k: int, exact: bool, drift: bool, mirror: bool
    ) -> list[tuple[Merged, Match | None]]:
        """Return the ``k`` best of the hits that are looked at again."""
        from pipeline.search.second_look import POOL, look_again  # loads scipy

        hits = best_hits(self._corpus, query, scope, max(k, POOL), exact=exact)
        return [*look_again(self._corpus, query, hits, drift=drift, mirror=mirror)[:k]]

    def _hit(self, rank: int, merged: Merged, match: Match | None) -> Hit:
        window = merged.best.window
        entry = self._corpus.manifest.sources[window.source_id]
        row = self._corpus.rows(window.source_id, np.array([window.number]))
        snr = self._corpus.windows(window.source_id).column("snr", row)
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
        )

    def _counts(self, encoder_key: str) -> dict[str, int]:
        manifest = self._corpus.manifest
        return {
            "windows": sum(entry.windows_seen for entry in manifest.sources.values()),
            "vectors": self._resolutions(encoder_key).total(),
            "sources": len(manifest.sources),
            "generation": manifest.generation,
        }
