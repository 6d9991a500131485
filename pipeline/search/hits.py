"""Makes hits of windows that were found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline.errors import CorpusDamaged
from pipeline.interference import KnownBand, known_bands, names_at
from pipeline.model import Hit, Match
from pipeline.search.families import family_of
from pipeline.search.merge import Merged
from pipeline.search.query import Query
from pipeline.search.snapshot import OpenCorpus
from pipeline.store import mending
from pipeline.support.text import counted
from pipeline.views import view_of


def hits_of(corpus: OpenCorpus, query: Query, found: Sequence[tuple[Merged, Match | None]]) -> tuple[Hit, ...]:
    """Return the hits for windows that were merged, best first, with what the corpus knows of their best windows."""
    bands = known_bands()
    return tuple(_hit_of(corpus, rank, query, merged, match, bands)
                 for rank, (merged, match) in enumerate(found, start=1))


def _hit_of(
    corpus: OpenCorpus, rank: int, query: Query, merged: Merged, match: Match | None, bands: Sequence[KnownBand]
) -> Hit:
    window = merged.best.window
    sources = corpus.manifest.sources
    entry = sources[window.source_id]
    paths = [path for source_id in merged.source_ids
             for path in (sources[source_id].path, *sources[source_id].also_at)]
    row = corpus.rows(window.source_id, np.array([window.number]))
    if row[0] < 0:
        raise CorpusDamaged(f"{corpus.root}: its index or vectors name window {window.source_id}/{window.number}, "
                            f"which is not stored; {mending(corpus.root)}")
    snr = corpus.column(window.source_id, "snr", row)
    family, family_name = family_of(corpus, window.source_id, window.number)
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
        view=view_of(window.source_id),
        match=match,
        reranked=_reranked(merged.best.score, match),
        query_window=query.window_at(merged.best.query),
        also_at=tuple(dict.fromkeys(paths[1:])),
        copies=tuple(f"{source_id}/{number}" for source_id, number in merged.copies),
        known=names_at(entry.header, window.f_start_mhz, window.f_stop_mhz, bands),
        family=family,
        family_name=family_name,
    )


def _reranked(score: float, match: Match | None) -> float | None:
    if match is None:
        return None
    from pipeline.search.correlate import fused  # loads scipy

    return float(fused(np.array(score), np.array(match.correlation)))


def note_on_no_hits(hits: Sequence[Hit], findable: int, by_label: bool) -> str:
    """Return a note if windows were searched and none is a hit, because all overlap the query; otherwise "".

    With ``by_label``, hits may also be left out because of their labels.
    """
    if hits or not findable:
        return ""
    return (f"no hits: of {counted(findable, 'signal')} searched, all overlap the query "
            f"{'or belong to hits that labels leave out' if by_label else 'and are left out'}")
