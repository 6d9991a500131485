"""Is a hit also there where the telescope pointed elsewhere? What the corpus stores of the same session answers.

For each hit, the scans of its session at another pointing are looked at (:mod:`pipeline.catalogue.cadences`), in the
windows where its signal would be by then. The pattern in the hit's window has a drift rate, so it moves between scans.
A stored window there that looks like the hit says *in OFF*. If nothing alike was kept, the gate's threshold limits how
strong the signal may have been: only if the hit is well above this limit, the answer is *ON only*. No file is read,
unless the search asks for power (:mod:`pipeline.search.off_power`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from pipeline.catalogue import Session, SessionScan
from pipeline.grid.tiling import Tiling
from pipeline.model import SECONDS_PER_DAY, Header, Hit, OnOff, Window
from pipeline.search.chosen_windows import score_windows
from pipeline.search.query import power_of_windows
from pipeline.search.request import SearchRequest
from pipeline.search.result import SearchResult
from pipeline.search.selection import Selection
from pipeline.search.session_table import sessions_in
from pipeline.search.snapshot import OpenCorpus
from pipeline.support.text import counted
from pipeline.views import View, is_plain, scan_of, view_of

MAX_OFF_SCANS = 6
"""Largest number of scans at another pointing that are looked at, the nearest in time."""
MAX_AWAY_S = 3600.0
"""Scans that begin longer before or after the hit's scan are not looked at, in seconds."""
MAX_JUDGED_HITS = 500
"""Largest number of hits that are looked at where only hits of the state *ON only* are wanted."""
NO_OFF_SCAN = ("no scan of the session at another pointing is in the corpus; `lookalike cadences` lists which scans "
               "belong together, and says how to correct that")
"""Reason why a hit is compared with no other scan."""
ALIKE = 0.5
"""Cosine from which a window at the expected place is the same signal. Measured on simulated signals seen twice, at
strengths that differ by up to a factor of two: 90 % score more. Of unrelated signals, 22 % do, but few lie there."""
CONFIDENCE_SIGMAS = 1.645
"""A signal this far above the gate's threshold is kept with a probability of 95 %."""
MIN_STRENGTH_RATIO = 1.2
"""The hit must be this much stronger than what the other scans may hide. Otherwise nothing can be said."""
EDGE_SHARE = 0.125
"""Share of a window, at either end, that may miss the expected place."""
SAME_SUM = 0.9
"""Slopes whose largest sum is at least this share of the best one may all be that of the signal."""


def answer_with_on_off(
    corpus: OpenCorpus, request: SearchRequest, answer: Callable[[SearchRequest], SearchResult],
    sessions: Sequence[Session] | None = None,
) -> SearchResult:
    """Carry out a search, and say for each hit whether its signal is also at another pointing.

    If only hits of the state *ON only* are wanted, more hits are fetched until there are ``k`` of them, or
    :data:`MAX_JUDGED_HITS` have been looked at.

    Parameters
    ----------
    corpus : OpenCorpus
    request : SearchRequest
    answer : callable
        Carries out the search without this.
    sessions : sequence of Session, optional
        All sessions of the corpus. By default, they are looked up.
    """
    sessions = sessions_in(corpus.root, corpus.manifest) if sessions is None else sessions
    judged: dict[tuple[str, int], OnOff] = {}
    fetch = request.k
    while True:
        result = answer(replace(request, k=fetch))
        new = [hit for hit in result if _name_of(hit) not in judged]
        with corpus.outlived():
            found = on_off_of(corpus, result.encoder, new, sessions)
            if request.on_off_power:
                from pipeline.search.off_power import with_power

                found = with_power(corpus, result.encoder, new, found, sessions)
        judged |= zip(map(_name_of, new), found, strict=True)
        hits = [replace(hit, on_off=judged[_name_of(hit)]) for hit in result]
        done = replace(result.request, k=request.k, on_off=request.on_off)  # it says how was searched: exact, careful
        if not request.on_only:
            return replace(result, request=done, hits=tuple(hits))
        only = [hit for hit in hits if judged[_name_of(hit)].state == "ON only"][: request.k]
        if len(only) == request.k or len(hits) < fetch or fetch >= MAX_JUDGED_HITS:
            note = f"{len(only):,} of the {counted(len(hits), 'best hit')} {'is' if len(only) == 1 else 'are'} ON only"
            return replace(result, request=done, description=result.description.with_notes(note),
                           hits=tuple(replace(hit, rank=rank) for rank, hit in enumerate(only, start=1)))
        fetch = min(2 * fetch, MAX_JUDGED_HITS)


def _name_of(hit: Hit) -> tuple[str, int]:
    return hit.source_id, hit.window.number


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the signal of a hit is expected in another scan."""

    source_id: str
    numbers: NDArray[np.int64]
    coarse_rows: NDArray[np.int64]
    """Coarse channel and time block of each window: (n, 2)."""


def on_off_of(
    corpus: OpenCorpus, encoder_key: str, hits: Sequence[Hit], sessions: Sequence[Session]
) -> list[OnOff]:
    """Say for each hit whether its signal is also in scans of the session at another pointing.

    Parameters
    ----------
    corpus : OpenCorpus
    encoder_key : str
        Encoder whose vectors are compared.
    hits : sequence of Hit
    sessions : sequence of Session
        All sessions of the corpus.

    Returns
    -------
    list of OnOff
        One for each hit.

    Raises
    ------
    CorpusDamaged
        Something in the corpus is missing or altered.
    """
    session_of = {scan.scan_id: session for session in sessions for scan in session.scans}
    others = [_other_scans(corpus, encoder_key, hit, session) if (session := session_of.get(scan_of(hit.source_id)))
              else [] for hit in hits]
    powers = iter(power_of_windows(corpus, [hit.window for hit, scans in zip(hits, others, strict=True) if scans]))
    return [_of_hit(corpus, encoder_key, hit, scans, next(powers)) if scans else
            OnOff("no OFF", reason=NO_OFF_SCAN)
            for hit, scans in zip(hits, others, strict=True)]


def _of_hit(
    corpus: OpenCorpus, key: str, hit: Hit, scans: Sequence[SessionScan], power: NDArray[np.float64]
) -> OnOff:
    """Judge a hit by scans at another pointing. ``power`` (T, F) is that of its window."""
    row = corpus.rows(hit.source_id, np.array([hit.window.number]))
    drifts = _drifts_hz_per_s(corpus.manifest.sources[hit.source_id].header, power)
    places = [place for scan in scans if (place := _place_in(corpus, hit.window, drifts, scan, view_of(hit.source_id)))]
    searched = [place for place in places if _is_searched(corpus, place)]
    if not searched:
        return OnOff("no OFF", reason="no scan of the session at another pointing was searched at its frequency")
    vector = corpus.vectors_of(hit.source_id, key, row)
    selection = Selection.of_sources(corpus, key, [place.source_id for place in searched])
    stored = [score_windows(selection, i, place.numbers, vector) for i, place in enumerate(searched)]
    seen = tuple(f"{place.source_id}/{found.number[0]}" for place, found in zip(searched, stored, strict=True)
                 if len(found.score) and found.score[0] >= ALIKE)
    return _judged(corpus, hit, row, searched, seen, sum(len(found.score) > 0 for found in stored))


def _judged(
    corpus: OpenCorpus, hit: Hit, row: NDArray[np.int64], searched: Sequence[_Place], seen: tuple[str, ...], others: int
) -> OnOff:
    off_ids = tuple(scan_of(place.source_id) for place in searched)
    if seen:
        return OnOff("in OFF", off_ids, seen)
    if others:
        return OnOff("undecided", off_ids,
                     reason=f"another signal lies at its place in {others} of {len(off_ids)} scans")
    if not is_plain(hit.source_id):
        return OnOff("undecided", off_ids, reason="an averaged view leaves out what one plain window explains")
    limit = max(_limit(corpus, hit, row, place) for place in searched)
    if hit.snr < MIN_STRENGTH_RATIO * limit:
        return OnOff("undecided", off_ids, snr_limit=limit,
                     reason=f"the other scans may hide a signal of SNR {limit:.1f}, and the hit has {hit.snr:.1f}")
    return OnOff("ON only", off_ids, snr_limit=limit)


def near_scans(corpus: OpenCorpus, key: str, hit: Hit, session: Session) -> list[str]:
    """Return the sources, in the hit's view, of the scans at another pointing that can be compared with it."""
    view = View.named(view_of(hit.source_id))
    return [view.id_of(scan.scan_id) for scan in _other_scans(corpus, key, hit, session)]


def _other_scans(corpus: OpenCorpus, key: str, hit: Hit, session: Session) -> list[SessionScan]:
    """Return the scans at another pointing that can be compared: near in time, and with vectors in the hit's view."""
    view, sources = View.named(view_of(hit.source_id)), corpus.manifest.sources
    begin_mjd = sources[hit.source_id].header.tstart_mjd
    near = [scan for scan in session.elsewhere(scan_of(hit.source_id))
            if abs(scan.begin_mjd - begin_mjd) * SECONDS_PER_DAY <= MAX_AWAY_S]
    return [scan for scan in near if (entry := sources.get(view.id_of(scan.scan_id)))
            and entry.vectors.get(key) is not None][:MAX_OFF_SCANS]


def _drifts_hz_per_s(header: Header, power: NDArray[np.float64]) -> tuple[float, float]:
    """Return the lowest and highest drift rate that the strongest line in a window may have, in Hz/s."""
    channels = drift_channels(np.nan_to_num(power - 1))
    low, high = (slope * header.channel_width_mhz * 1e6 / header.tsamp_s for slope in channels)
    return low, high


def drift_channels(excess: NDArray[np.float64]) -> tuple[float, float]:
    """Return the lowest and highest slope that the strongest straight line in a window may have.

    The sum along a line is largest where the line follows the signal (an incoherent sum over drift rates, as
    turboSETI makes it, here over all slopes that cross the window). A signal that is no line fits several slopes. The
    range holds all of them.

    Parameters
    ----------
    excess : (T, F) float64
        Power above the noise.

    Returns
    -------
    low, high : float
        In channels per spectrum.
    """
    spectra, channels = excess.shape
    if spectra < 2:
        return 0.0, 0.0
    # no pixel counts more than a few others together, so that one bright pixel has no slope
    limited = np.minimum(excess, 4 * max(float(np.quantile(excess, 0.99)), 1e-12)).astype(np.float32)
    shifts = np.arange(-channels + 1, channels)
    times = np.arange(spectra) / (spectra - 1)
    shifted = sliding_window_view(np.pad(limited, ((0, 0), (channels, channels))), channels, axis=1)
    sums = np.zeros((len(shifts), channels), np.float32)
    for row, time in zip(shifted, times, strict=True):
        sums += row[channels + np.rint(time * shifts).astype(int)]
    best = sums.max(axis=1)
    good = shifts[best >= SAME_SUM * best.max()]
    return float(good.min() / (spectra - 1)), float(good.max() / (spectra - 1))


def _place_in(
    corpus: OpenCorpus, window: Window, drifts_hz_per_s: tuple[float, float], scan: SessionScan, view: str
) -> _Place | None:
    """Return the windows of another scan where the signal is expected; None if the scan has none there."""
    source_id = View.named(view).id_of(scan.scan_id)
    tiling = corpus.tiling(source_id)
    header, grid = tiling.header, tiling.grid
    edge = EDGE_SHARE * grid.channels
    numbers, rows = [], []
    for block in range(tiling.n_blocks):
        later_s = (header.mjd_at(tiling.spectrum_of(block) * header.tsamp_s) - window.mjd) * SECONDS_PER_DAY
        shifts_mhz = [drift * later_s / 1e6 for drift in drifts_hz_per_s]
        low = header.channel_at(window.f_start_mhz + min(shifts_mhz))
        high = header.channel_at(window.f_stop_mhz + max(shifts_mhz))
        for number, coarse in _overlapping(tiling, block, low + edge, high - edge):
            numbers.append(number)
            rows.append((coarse, block))
    return _Place(source_id, np.array(numbers), np.array(rows)) if numbers else None


def _overlapping(tiling: Tiling, block: int, low: float, high: float) -> list[tuple[int, int]]:
    """Return number and coarse channel of the windows of a time block that overlap a range of channels."""
    if high <= 0 or low >= tiling.header.nchans:
        return []
    found = []
    first, last = (min(max(int(channel), 0), tiling.header.nchans - 1) for channel in (low, high))
    for coarse in range(tiling.coarse_at(first), tiling.coarse_at(last) + 1):
        start, count = tiling.coarse_span(coarse)[0], tiling.windows_in(coarse)
        nearest = int((low - start - tiling.grid.channels) / tiling.grid.step)
        for position in range(max(nearest - 1, 0), count):
            begin = start + tiling.offset_of(coarse, position)
            if begin >= high:
                break
            if begin + tiling.grid.channels > low:
                found.append((tiling.number(block, coarse, position), coarse))
    return found


def _exposed(corpus: OpenCorpus, place: _Place, name: str) -> NDArray[np.float64]:
    """Return a column of the exposure for the coarse channels and time blocks of a place; 0 where nothing was read."""
    coarse, block, values = (corpus.exposure(place.source_id, one) for one in ("coarse_channel", "time_block", name))
    is_there = (coarse == place.coarse_rows[:, :1]) & (block == place.coarse_rows[:, 1:])  # (n, rows of the exposure)
    return np.where(is_there.any(axis=1), values[is_there.argmax(axis=1)], 0).astype(np.float64)


def _is_searched(corpus: OpenCorpus, place: _Place) -> bool:
    return bool((_exposed(corpus, place, "windows_searched") > 0).all())


def _limit(corpus: OpenCorpus, hit: Hit, row: NDArray[np.int64], place: _Place) -> float:
    """Return the SNR that a signal like the hit may have had without being kept, with a confidence of 95 %."""
    from pipeline.gate import BOX_WIDTHS, thresholds  # loads numba

    width, duration = (int(corpus.column(hit.source_id, name, row)[0]) for name in ("best_width", "best_duration"))
    scan = corpus.config.scan
    noise_spectra = float(_exposed(corpus, place, "noise_spectra").min())
    sigmas = thresholds(round(noise_spectra, 3), scan.grid.channels, scan.grid.integrations, scan.false_alarm).sigmas
    level = min(max(duration, 1).bit_length() - 1, sigmas.shape[1] - 1)
    return float(sigmas[BOX_WIDTHS.index(width) if width in BOX_WIDTHS else 0, level]) + CONFIDENCE_SIGMAS
