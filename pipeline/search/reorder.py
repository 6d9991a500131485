"""Another order for the best hits: by a comparison of their cutouts with the query's, or by nearness in frequency."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.encoders import near_scores, nearness
from pipeline.model import Match, Window
from pipeline.search.correlate import DRIFTS, correlate, fused
from pipeline.search.merge import Merged
from pipeline.search.query import Query
from pipeline.search.snapshot import OpenCorpus

MIN_REORDERED_HITS = 200
"""Minimum number of hits that are put into another order, of which the first ``k`` are returned."""


def order_by_nearness(query: Query, hits: Sequence[Merged], weight: float) -> list[Merged]:
    """Order hits by their cosine and their nearness in frequency (:mod:`pipeline.encoders.frequency`).

    Parameters
    ----------
    weight : float
        How much nearness counts. 0: the order stays; 1: as much as the pattern.
    """
    scores = np.array([
        near_scores(np.array([hit.best.score]), np.array([_middle_mhz(hit.best.window)]),
                    _middle_mhz(query.windows[hit.best.query]), weight)[0]
        for hit in hits
    ])
    return [hits[i] for i in np.argsort(-scores, kind="stable").tolist()]


def nearness_of(query: Query, hit: Merged) -> float:
    """Return the nearness of a hit to the query's frequency, from −1 to 1, which :func:`order_by_nearness` uses."""
    return float(nearness(np.array(_middle_mhz(hit.best.window)), _middle_mhz(query.windows[hit.best.query])))


def compare_cutouts(
    corpus: OpenCorpus, query: Query, hits: Sequence[Merged], *, drift: bool = False, mirror: bool = False
) -> list[tuple[Merged, Match]]:
    """Order hits by their cosine and the correlation of their cutouts (:func:`pipeline.search.correlate.fused`).

    Parameters
    ----------
    drift : bool
        Allow for up to one channel per spectrum more or less drift than the query's.
    mirror : bool
        Allow for reversed frequency.

    Returns
    -------
    list of (hit, match)
        Best first; hits with equal scores keep their order.
    """
    cutouts = _cutouts(corpus, [hit.best.window for hit in hits])
    query_of_hit = np.array([hit.best.query for hit in hits], np.int64)
    matches: dict[int, Match] = {}
    for one in np.unique(query_of_hit):
        here = np.flatnonzero(query_of_hit == one)
        found = correlate(query.cutouts[one], cutouts[here], drifts=DRIFTS if drift else (0.0,), mirror=mirror)
        for at, i in enumerate(here.tolist()):
            header = corpus.manifest.sources[hits[i].best.window.source_id].header
            channel_hz = header.channel_width_mhz * 1e6
            matches[i] = Match(
                correlation=float(found.correlation[at]),
                shift_hz=float(found.channels[at] * channel_hz),
                shift_s=float(found.spectra[at] * header.tsamp_s),
                extra_drift_hz_per_s=float(found.drift[at] * channel_hz / header.tsamp_s),
                mirrored=bool(found.mirrored[at]),
            )
    scores = fused(np.array([hit.best.score for hit in hits]),
                   np.array([matches[i].correlation for i in range(len(hits))]))
    return [(hits[i], matches[i]) for i in np.argsort(-scores, kind="stable").tolist()]


def _middle_mhz(window: Window) -> float:
    return (window.f_start_mhz + window.f_stop_mhz) / 2


def _cutouts(corpus: OpenCorpus, windows: Sequence[Window]) -> NDArray[np.uint8]:
    """Read the cutouts (n, T, F) of stored windows, those of one source together."""
    grid = corpus.config.scan.grid
    out = np.empty((len(windows), grid.integrations, grid.channels), np.uint8)
    for source_id in {window.source_id for window in windows}:
        here = [i for i, window in enumerate(windows) if window.source_id == source_id]
        rows = corpus.rows(source_id, np.array([windows[i].number for i in here]))
        out[here] = corpus.cutouts(source_id, rows)
    return out
