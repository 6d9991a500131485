"""Records of scans and of their kept windows."""

from __future__ import annotations

import logging
import re
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.catalogue import Session
from pipeline.errors import CorpusDamaged, ParameterError, QueryError
from pipeline.interference import known_bands, names_at
from pipeline.views import View, split_id
from pipeline.web.archive import Archive, Pinned
from pipeline.web.decoded import DecodedChannels
from pipeline.web.records import (
    BandRecord,
    KnownBands,
    SourceDetail,
    SourcePage,
    SourceRecord,
    WindowBatch,
    WindowDetail,
    WindowPage,
    WindowPixels,
    WindowRecord,
)
from pipeline.web.scales import noise_spectra_of, scale_of_windows, sent
from pipeline.web.tiles import levels_of, scale_of

log = logging.getLogger(__name__)
_NUMBER = re.compile("[0-9]{1,18}")
"""Number of a window, in a name."""


def source_page(pinned: Pinned, cursor: str, limit: int, q: str) -> SourcePage:
    """Return up to ``limit`` scans after the id ``cursor``, by id. ``q`` is a part of an id, target or file name."""
    wanted = q.strip().lower()
    found = [scan_id for scan_id in pinned.scans if not wanted or wanted in _words_of(pinned, scan_id)]
    after = [scan_id for scan_id in found if scan_id > cursor]
    return SourcePage([record_of(pinned, scan_id) for scan_id in after[:limit]],
                      after[limit - 1] if len(after) > limit else None, len(found))


def _words_of(pinned: Pinned, scan_id: str) -> str:
    entry = pinned.opened.manifest.sources[scan_id]
    return f"{scan_id} {entry.header.source_name} {Path(entry.path).name}".lower()


def record_of(pinned: Pinned, scan_id: str) -> SourceRecord:
    """Return the record of a scan."""
    return SourceRecord(**_fields_of(pinned, scan_id))


def _fields_of(pinned: Pinned, scan_id: str) -> dict[str, Any]:
    entry = pinned.opened.manifest.sources[scan_id]
    header = entry.header
    return {
        "id": scan_id, "file": Path(entry.path).name, "target": header.source_name, "telescope": header.telescope,
        "mjd": header.tstart_mjd, "f_start_mhz": header.f_min_mhz, "f_stop_mhz": header.f_max_mhz,
        "channels": header.nchans, "channel_width_hz": header.channel_width_mhz * 1e6, "spectra": header.nsamples,
        "tsamp_s": header.tsamp_s, "windows": entry.windows_seen, "kept": entry.windows_kept,
        "views": [view.name for view in views_of_scan(pinned, scan_id)], "overview": entry.overview,
        "file_there": DecodedChannels.path_of(pinned, scan_id) is not None,
    }


def views_of_scan(pinned: Pinned, scan_id: str) -> list[View]:
    """Return the averaged views of a scan, the finest first."""
    sources = pinned.opened.manifest.sources
    return sorted((View.named(name) for name in pinned.view_names if View.named(name).id_of(scan_id) in sources),
                  key=lambda view: view.order)


def detail_of(archive: Archive, pinned: Pinned, scan_id: str, decoded: DecodedChannels) -> SourceDetail:
    """Return the record of a scan with its levels and its session."""
    entry = pinned.opened.manifest.sources[scan_id]
    session = _session_of(archive.sessions(), scan_id)
    scans = session.scans if session else ()
    return SourceDetail(**_fields_of(pinned, scan_id), levels=levels_of(pinned, scan_id, decoded),
                        session=[scan.scan_id for scan in scans] or [scan_id],
                        pointings=[scan.pointing for scan in scans] or [entry.header.source_name],
                        scale=scale_of(pinned, scan_id), files=_names_of_files(entry.path, *entry.also_at))


def _names_of_files(*paths: str) -> list[str]:
    """Return the names without the folders: readers need not know where files lie. Copies with one name count once."""
    return list(dict.fromkeys(Path(path).name for path in paths))


def _session_of(sessions: list[Session], scan_id: str) -> Session | None:
    return next((one for one in sessions if any(scan.scan_id == scan_id for scan in one.scans)), None)


def windows_in(pinned: Pinned, scan_id: str, f_start_mhz: float | None, f_stop_mhz: float | None,
               limit: int) -> WindowPage:
    """Return the kept windows of a scan and of its views that touch a range of frequency.

    If there are more than ``limit``, those with the highest SNR are returned.
    """
    header = pinned.opened.manifest.sources[scan_id].header
    low = header.f_min_mhz if f_start_mhz is None else f_start_mhz
    high = header.f_max_mhz if f_stop_mhz is None else f_stop_mhz
    if not low < high:
        raise ParameterError(f"{low}–{high} MHz is no range: give the lower frequency first, as f_start_mhz")
    found: list[tuple[float, str, int]] = []
    for source_id in (scan_id, *(view.id_of(scan_id) for view in views_of_scan(pinned, scan_id))):
        found += [(snr, source_id, number) for snr, number in _touching(pinned, source_id, low, high)]
    found.sort(reverse=True)
    records = [window_record(pinned, source_id, number, snr) for snr, source_id, number in found[:limit]]
    return WindowPage(sorted(records, key=lambda one: (one.f_start_mhz, one.t_start_s)), len(found) > limit)


def _touching(pinned: Pinned, source_id: str, low_mhz: float, high_mhz: float) -> list[tuple[float, int]]:
    """Return SNR and number of the kept windows of a source that touch a range."""
    numbers, tiling = pinned.opened.numbers(source_id), pinned.opened.tiling(source_id)
    if not len(numbers):
        return []
    starts = pinned.channel_starts(source_id)
    first, stop = tiling.header.channel_at(low_mhz), tiling.header.channel_at(high_mhz)
    rows = np.flatnonzero((starts < stop) & (starts + tiling.grid.channels > first))
    snr = pinned.opened.column(source_id, "snr", rows)
    return list(zip(snr.astype(float).tolist(), numbers[rows].tolist(), strict=True))


def window_record(pinned: Pinned, source_id: str, number: int, snr: float) -> WindowRecord:
    """Return the record of a kept window."""
    return WindowRecord(**_fields_of_window(pinned, source_id, number, snr))


def _fields_of_window(pinned: Pinned, source_id: str, number: int, snr: float) -> dict[str, Any]:
    window = pinned.opened.window(source_id, number)
    scan, name = split_id(source_id)
    header = pinned.opened.manifest.sources[scan if scan in pinned.opened.manifest.sources else source_id].header
    first, stop = (round(header.channel_at(edge)) for edge in (window.f_start_mhz, window.f_stop_mhz))
    return {"window": number, "source": source_id, "view": name, "channel_start": max(first, 0),
            "channel_stop": min(stop, header.nchans), "f_start_mhz": window.f_start_mhz,
            "f_stop_mhz": window.f_stop_mhz, "t_start_s": window.t_start_s, "t_stop_s": window.t_stop_s,
            "snr": round(snr, 2)}


def row_of_window(pinned: Pinned, source_id: str, number: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the row (1,) of a kept window; raise :class:`QueryError` if it was not kept."""
    if not 0 <= number < pinned.opened.tiling(source_id).n_windows:
        raise QueryError(f"{source_id}: has no window {number}")
    row = pinned.opened.rows(source_id, np.array([number]))
    if row[0] < 0:
        raise QueryError(f"{source_id}/{number}: the corpus has not kept this window, since its gate saw no signal in "
                         "it")
    return row


def window_detail(pinned: Pinned, source_id: str, number: int) -> WindowDetail:
    """Return what the corpus knows of a kept window."""
    facts, spread = _facts_of_window(pinned, source_id, number)
    return WindowDetail(**facts, scale=scale_of_windows(spread))


def window_pixels(pinned: Pinned, source_id: str, number: int) -> WindowPixels:
    """Return what the corpus knows of a kept window, with its pixels."""
    facts, spread = _facts_of_window(pinned, source_id, number)
    codes = pinned.opened.cutouts(source_id, row_of_window(pinned, source_id, number))[0]
    return WindowPixels(**facts, noise_spectra=noise_spectra_of(spread),
                        codes=b64encode(sent(codes).tobytes()).decode("ascii"))


def windows_named(pinned: Pinned, names: Sequence[str]) -> WindowBatch:
    """Return the kept windows of some names, each ``SOURCE/NUMBER``, with their pixels. Other names are missing.

    One that is damaged does not keep the others back.
    """
    batch = WindowBatch([], [], [])
    for name in names:
        source_id, _, number = name.rpartition("/")
        if source_id not in pinned.opened.manifest.sources or not _NUMBER.fullmatch(number):
            batch.missing.append(name)
            continue
        try:
            batch.windows.append(window_pixels(pinned, source_id, int(number)))
        except QueryError:  # the corpus has not kept it
            batch.missing.append(name)
        except CorpusDamaged as error:
            log.error("%s", error)
            batch.damaged.append(name)
    return batch


def _facts_of_window(pinned: Pinned, source_id: str, number: int) -> tuple[dict[str, Any], float]:
    """Return the fields of :class:`WindowFacts`, and the spread of the noise."""
    row = row_of_window(pinned, source_id, number)
    snr, spread = (float(pinned.opened.column(source_id, name, row)[0]) for name in ("snr", "spread"))
    entry, window = pinned.opened.manifest.sources[source_id], pinned.opened.window(source_id, number)
    grid = pinned.opened.tiling(source_id).grid
    return {
        **_fields_of_window(pinned, source_id, number, snr), "mjd": window.mjd, "target": entry.header.source_name,
        "file": Path(entry.path).name, "spectra": grid.integrations, "channels": grid.channels,
        "known": list(names_at(entry.header, window.f_start_mhz, window.f_stop_mhz))}, spread


def bands_in(f_start_mhz: float | None, f_stop_mhz: float | None) -> KnownBands:
    """Return the bands of known interference that touch a range of frequency."""
    low = -np.inf if f_start_mhz is None else f_start_mhz
    high = np.inf if f_stop_mhz is None else f_stop_mhz
    return KnownBands([
        BandRecord(band.name, band.kind, band.f_start_mhz, band.f_stop_mhz, band.telescope, band.source, band.note)
        for band in known_bands() if low <= band.f_stop_mhz and band.f_start_mhz <= high])
