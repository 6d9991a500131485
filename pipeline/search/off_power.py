"""ON/OFF by power: how strong a hit's signal is where the telescope pointed elsewhere, measured in the source files.

The signal is followed through its own scan, as a line with a slope and a bend. In each other scan, the power is
measured along the line where the signal would be by then: the largest sum over a box of the shape in which the gate saw
the signal best. What is measured is kept beside the corpus (:mod:`pipeline.search.power_store`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from pipeline.catalogue import Session
from pipeline.model import SECONDS_PER_DAY, Hit, OffPower, OnOff, Window
from pipeline.search.on_off import near_scans
from pipeline.search.origin import FileGone, cut, origin_of_source
from pipeline.search.power_store import Measured, PowerStore
from pipeline.search.query import power_of_windows, relative_power
from pipeline.search.snapshot import OpenCorpus
from pipeline.search.tracks import Box, Tracks, find_tracks, strongest_near
from pipeline.support.text import counted
from pipeline.views import scan_of

OWN_WINDOWS, OTHER_WINDOWS = 3, 7
"""Numbers of windows, side by side, that are read around the hit and around its expected place."""
MAX_REACH_WINDOWS = 1
"""Largest distance from the expected place that is searched, in windows."""
BLOCKS_OF_SCAN = 2
"""Number of time blocks of another scan that are looked at, the nearest in time."""
FALSE_PROBABILITY = 1e-3
"""Probability that noise alone reaches what counts as seen, in one time block."""
SEEN_SHARE = 0.25
"""A signal that is seen must also have at least this share of the hit's SNR. Otherwise it is another, weaker one."""
LIMIT_SIGMAS = 1.645
"""A signal may be stronger than the sum by this much: the limit has a confidence of 95 %."""
ONLY_SHARE = 0.6
"""The limits must be at most this share of the hit's SNR for *ON only*."""

Excess = NDArray[np.float64]


def with_power(
    corpus: OpenCorpus, encoder_key: str, hits: Sequence[Hit], judged: Sequence[OnOff], sessions: Sequence[Session]
) -> list[OnOff]:
    """Measure the power of hits in the scans at another pointing, and judge them by it.

    What the stored windows say counts, too: a look-alike at the expected place remains *in OFF*.

    Parameters
    ----------
    corpus : OpenCorpus
    encoder_key : str
        Encoder whose vectors were compared.
    hits : sequence of Hit
    judged : sequence of OnOff
        What the stored windows say of each hit (:func:`pipeline.search.on_off.on_off_of`).
    sessions : sequence of Session
        All sessions of the corpus.

    Returns
    -------
    list of OnOff
        One for each hit. Files that cannot be read are named by ``reason``.

    Raises
    ------
    CorpusDamaged
        Something in the corpus is missing or altered.
    """
    session_of = {scan.scan_id: session for session in sessions for scan in session.scans}
    store = PowerStore.open(corpus.root)
    out = []
    for hit, stored in zip(hits, judged, strict=True):
        session = session_of.get(scan_of(hit.source_id))
        sources = near_scans(corpus, encoder_key, hit, session) if session and stored.state != "no OFF" else []
        out.append(_judged(hit, stored, *_measure(corpus, store, hit, sources)) if sources else stored)
    store.save()
    return out


def _measure(
    corpus: OpenCorpus, store: PowerStore, hit: Hit, source_ids: Sequence[str]
) -> tuple[dict[str, Measured], str]:
    """Return what was measured in each source, and which files could not be read, in words."""
    found: dict[str, Measured] = {}
    tracks: Tracks | None = None
    lost = []
    for source_id in source_ids:
        name = f"{hit.source_id}/{hit.window.number} {source_id}"
        if (known := store.get(name)) is not None:
            found[source_id] = known
            continue
        try:
            tracks = tracks or _tracks_of(corpus, hit)
            if (made := _measure_in(corpus, hit, tracks, source_id)) is not None:
                found[source_id] = made
                store.put(name, made)
        except FileGone as error:
            lost.append(str(error))
    words = f"power was not measured in {counted(len(lost), 'scan')}: {lost[0]}" if lost else ""
    return found, words


def _judged(hit: Hit, stored: OnOff, found: Mapping[str, Measured], lost: str) -> OnOff:
    """Judge a hit by what was measured."""
    if not found:
        words = lost or "no file reaches its place at another pointing"
        return replace(stored, reason="; ".join(filter(None, [words, "judged by stored windows", stored.reason])))
    power = tuple(OffPower(scan_of(source_id), one.snr, one.snr + LIMIT_SIGMAS) for source_id, one in found.items())
    own = max(one.own_snr for one in found.values())
    seen = [one for one in found.values() if one.snr >= max(one.threshold, SEEN_SHARE * one.own_snr)]
    limits = [one.snr + LIMIT_SIGMAS for one in found.values() if one.is_whole]
    answer = replace(stored, power=power, own_snr=own, off_scans=tuple(one.scan for one in power), reason=lost,
                     snr_limit=max(limits, default=None))
    if seen or stored.state == "in OFF":
        return replace(answer, state="in OFF")
    if limits and max(limits) <= ONLY_SHARE * own:
        return replace(answer, state="ON only")
    why = "the files do not show all places at which it may be" if not limits else (
        f"at its place there may be a signal of SNR {max(limits):.1f}, and along its track the hit has {own:.1f}")
    return replace(answer, state="undecided", reason="; ".join(filter(None, [why, lost])))


def _tracks_of(corpus: OpenCorpus, hit: Hit) -> Tracks:
    """Follow the signal of a hit. Channels are those of its scan.

    The windows beside the hit's are read from the file. If it cannot be read, the stored window must do.
    """
    window, source_id = hit.window, hit.source_id
    row = corpus.rows(source_id, np.array([window.number]))
    width, spectra = (int(corpus.column(source_id, name, row)[0]) for name in ("best_width", "best_duration"))
    block = corpus.tiling(source_id).block_at(window.spectrum_start)
    try:
        first, excess, _ = _excess_around(corpus, source_id, block, window.channel_start, OWN_WINDOWS)
    except FileGone:
        spread = float(corpus.column(source_id, "spread", row)[0])
        first, excess = window.channel_start, (power_of_windows(corpus, [window])[0] - 1) / spread
    box = Box(max(width, 1), min(max(spectra, 1), len(excess)))
    at = window.channel_start - first
    return find_tracks(np.nan_to_num(excess), at, at + window.channel_stop - window.channel_start, box).moved(first)


def _measure_in(corpus: OpenCorpus, hit: Hit, tracks: Tracks, source_id: str) -> Measured | None:
    """Measure the power along the tracks of a hit in another source; None if its band does not reach there."""
    here, there = corpus.tiling(hit.source_id).header, corpus.tiling(source_id)
    tracks = tracks.moved((here.f_min_mhz - there.header.f_min_mhz) / there.header.channel_width_mhz)
    size = there.grid.integrations
    middle = _middle_mjd(hit.window)
    later = {block: (there.header.mjd_at((there.spectrum_of(block) + size / 2) * there.header.tsamp_s) - middle)
             * SECONDS_PER_DAY / there.header.tsamp_s for block in range(there.n_blocks)}
    measured = []
    for block in sorted(later, key=lambda one: abs(later[one]))[:BLOCKS_OF_SCAN]:
        expected = tracks.later(later[block])
        centre = float(np.median(expected.middle))
        if not 0 <= centre < there.header.nchans:
            continue
        start = round(centre) - there.grid.channels // 2
        first, excess, noise_spectra = _excess_around(corpus, source_id, block, start, OTHER_WINDOWS)
        # the slope is known to a channel over the window's time
        margin = 2 + tracks.box.width / 2 + abs(later[block]) / max(size - 1, 1)
        one = strongest_near(excess, expected.moved(-first), margin,
                             MAX_REACH_WINDOWS * there.grid.channels + tracks.box.width / 2)
        measured.append(Measured(tracks.snr, one.snr, _threshold(tracks.box, noise_spectra, one.sums), one.is_whole))
    if not measured:
        return None
    best = max(measured, key=lambda one: one.snr)
    return best._replace(is_whole=all(one.is_whole for one in measured))


def _middle_mjd(window: Window) -> float:
    return window.mjd + (window.t_stop_s - window.t_start_s) / 2 / SECONDS_PER_DAY


def _threshold(box: Box, noise_spectra: float, sums: float) -> float:
    """Return the sum, in standard deviations, that noise reaches in any of some independent sums."""
    from scipy.special import gammainccinv  # loads scipy, which other searches need not wait for

    shape = box.width * box.spectra * noise_spectra
    return float((gammainccinv(shape, FALSE_PROBABILITY / sums) - shape) / np.sqrt(shape))


def _excess_around(
    corpus: OpenCorpus, source_id: str, block: int, channel: int, count: int
) -> tuple[int, Excess, float]:
    """Cut windows side by side from a file, within one coarse channel.

    Parameters
    ----------
    channel : int
        First channel of the window in the middle.
    count : int
        Number of windows, if the coarse channel has as many.

    Returns
    -------
    first : int
        First channel.
    excess : (T, F) float64
        Power above the noise, in standard deviations of the noise of one pixel; masked pixels are NaN.
    noise_spectra : float

    Raises
    ------
    FileGone
        No file can be read.
    """
    tiling = corpus.tiling(source_id)
    size = tiling.grid.channels
    middle = min(max(channel + size // 2, 0), tiling.header.nchans - 1)
    low, high = tiling.coarse_span(tiling.coarse_at(middle))
    first = max(low, min(channel - count // 2 * size, high - count * size))
    starts = range(first, high - size + 1, size)[:count]
    if not starts:
        return first, np.full((tiling.grid.integrations, 1), np.nan), 1.0
    origin = origin_of_source(corpus, source_id, corpus.config.scan.polarisation)
    cutouts, spreads = cut(corpus, origin, [origin.window_at(block, start) for start in starts])
    excess = [(relative_power(cutout, spread) - 1) / spread
              for cutout, spread in zip(cutouts, spreads.astype(np.float64), strict=True)]
    return first, np.concatenate(excess, axis=1), float(np.median(spreads)) ** -2
