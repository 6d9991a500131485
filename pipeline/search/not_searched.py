"""What was not searched where an answer lies: pixels in no window, masked windows, and power that is stored as gain.

An answer says nothing about such pixels. So hits beside them say so, and the result says how much there is in all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pipeline.grid.coverage import Coverage
from pipeline.grid.tiling import Tiling
from pipeline.model import Hit, Window
from pipeline.search.query import Query
from pipeline.search.selection import Selection
from pipeline.search.snapshot import OpenCorpus
from pipeline.support.text import counted
from pipeline.views import is_plain, scan_of

MIN_GAIN_CHANGE = 0.1
"""Relative change of the gain of a spectrum from which it is told."""
GAIN_DEVIATIONS = 6.0
"""Minimum change, in standard deviations of the gain of a spectrum of noise."""
_COLUMNS = frozenset({"coarse_channel", "time_block", "windows_masked", "windows_searched", "noise_spectra",
                      "row_gain"})
MAX_KEPT_PLACES = 1 << 15
"""Maximum number of coarse channels whose words are kept in memory between searches."""
MAX_QUERY_WINDOWS = 64
"""Maximum number of windows of a query that are looked at."""


@dataclass(frozen=True, slots=True)
class NotSearched:
    """How much of the scans that a search looked in is in no window."""

    scans: int
    """Number of scans with samples in no window."""
    share: float
    """Share of the samples of all scans that is in no window."""

    def __str__(self) -> str:
        if not self.scans:
            return ""
        scans = counted(self.scans, "scan")
        return f"not searched: {100 * self.share:.2g} % of the samples, in {scans}, are in no window"

    def to_json(self) -> dict[str, Any]:
        """Return a plain dictionary."""
        return {"scans_in_part": self.scans, "share_of_samples_in_no_window": float(f"{self.share:.4g}")}


def not_searched_of(selection: Selection) -> NotSearched:
    """Sum up the pixels in no window of the scans of a selection."""
    corpus = selection.corpus

    def counted_once() -> Mapping[str, tuple[int, int]]:
        covered = {source_id: Coverage.of(corpus.tiling(source_id)) for source_id in corpus.manifest.sources
                   if is_plain(source_id)}
        return {source_id: (one.samples, one.samples_skipped) for source_id, one in covered.items()}

    samples = corpus.keep_object("samples in no window", counted_once)
    chosen = [samples[scan] for scan in {scan_of(one) for one in selection.source_ids} if scan in samples]
    total, skipped = (sum(column) for column in zip(*chosen, strict=True)) if chosen else (0, 0)
    return NotSearched(sum(one[1] > 0 for one in chosen), skipped / total if total else 0.0)


def with_not_searched(corpus: OpenCorpus, hits: Sequence[Hit]) -> tuple[Hit, ...]:
    """Give each hit words on what was not searched beside it, or in it."""
    words = ((*beside(corpus.tiling(hit.source_id), hit.window), *lost_in(corpus, hit.window)) for hit in hits)
    return tuple(replace(hit, not_searched=some) if some else hit for hit, some in zip(hits, words, strict=True))


def note_on_query(corpus: OpenCorpus, query: Query) -> str:
    """Return a note on what of the query's own spectra was divided out or masked; an empty text for nothing."""
    words = (word for window in query.windows[:MAX_QUERY_WINDOWS] if window.source_id in corpus.manifest.sources
             for word in lost_in(corpus, window))
    return "; ".join(f"in the query, {word}" for word in dict.fromkeys(words))


def beside(tiling: Tiling, window: Window) -> tuple[str, ...]:
    """Say which pixels next to a window are in no window of its source."""
    words = []
    for channel, where in ((window.channel_start - 1, "below"), (window.channel_stop, "above")):
        if 0 <= channel < tiling.header.nchans and (count := _channels_missed(tiling, channel)):
            words.append(f"{counted(count, 'channel')} {where} it {'is' if count == 1 else 'are'} in no window")
    last = tiling.n_blocks * tiling.grid.integrations
    if tiling.spectra_skipped and window.spectrum_stop == last:
        count = tiling.spectra_skipped
        words.append("1 spectrum after it is in no window" if count == 1 else
                     f"{count} spectra after it are in no window")
    return tuple(words)


def _channels_missed(tiling: Tiling, channel: int) -> int:
    """Return the length of the run of channels in no window that a channel belongs to; 0 if it is in a window."""
    grid, i = tiling.grid, tiling.coarse_at(channel)
    (start, stop), count = tiling.coarse_span(i), tiling.windows_in(i)
    if not count:
        return stop - start
    position = min((channel - start) // grid.step, count - 1)
    end = start + tiling.offset_of(i, position) + grid.channels
    if channel < end:
        return 0
    return (start + tiling.offset_of(i, position + 1) if position + 1 < count else stop) - end


def lost_in(corpus: OpenCorpus, window: Window) -> tuple[str, ...]:
    """Say which windows around a window are masked, and which of its spectra had another gain.

    Both are known for its coarse channel and time block. A corpus of an earlier version may not know them.
    """
    tiling = corpus.tiling(window.source_id)
    place = window.source_id, tiling.coarse_at(window.channel_start), tiling.block_at(window.spectrum_start)
    kept: dict[tuple[str, int, int], tuple[str, ...]] = corpus.keep_object("words on lost power", dict)
    if (words := kept.get(place)) is None:
        if len(kept) >= MAX_KEPT_PLACES:
            kept.clear()
        words = kept[place] = _lost_at(corpus, *place)
    return words


def _lost_at(corpus: OpenCorpus, source_id: str, coarse: int, block: int) -> tuple[str, ...]:
    """Do what :func:`lost_in` does, for a coarse channel and a time block of a source."""
    known = corpus.keep_object(("columns of the exposure", source_id),
                               lambda: frozenset(corpus.windows(source_id).exposure_names))
    if not known >= _COLUMNS:
        return ()
    here = np.flatnonzero((corpus.exposure(source_id, "coarse_channel") == coarse)
                          & (corpus.exposure(source_id, "time_block") == block))
    if len(here) != 1:
        return ()
    row, words = int(here[0]), []
    masked, searched = (int(corpus.exposure(source_id, name)[row]) for name in ("windows_masked", "windows_searched"))
    if masked:
        words.append(f"{masked:,} of {counted(masked + searched, 'window')} of its coarse channel "
                     f"{'is' if masked == 1 else 'are'} masked")
    start, stop = corpus.tiling(source_id).coarse_span(coarse)
    spectra = float(corpus.exposure(source_id, "noise_spectra")[row])
    noise = 1 / math.sqrt((stop - start) * max(1.0, spectra))
    gain = corpus.exposure(source_id, "row_gain")[row].astype(np.float64)
    alive = gain[gain > 0]
    if dead := len(gain) - len(alive):
        words.append(f"{dead} of its {len(gain)} spectra {'is' if dead == 1 else 'are'} dead")
    if len(alive):
        change = np.abs(alive / np.median(alive) - 1)
        changed = int(np.count_nonzero(change > max(MIN_GAIN_CHANGE, GAIN_DEVIATIONS * noise)))
        if changed:
            words.append(f"{changed} of its {len(gain)} spectra had up to {1 + change.max():.2g} times the gain: what "
                         "fills a whole coarse channel is stored as gain, and is not searched")
    return tuple(words)
