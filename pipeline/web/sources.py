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
from pipeline.errors import CorpusDamaged, QueryError
from pipeline.interference import known_bands, names_at
from pipeline.search import list_scan, list_window, list_windows
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
    found = scans_with(pinned, q)
    after = [scan_id for scan_id in found if scan_id > cursor]
    return SourcePage([record_of(pinned, scan_id) for scan_id in after[:limit]],
                      after[limit - 1] if len(after) > limit else None, len(found))


def scans_with(pinned: Pinned, q: str) -> list[str]:
    """Return the ids of the scans with a text in their id, target or file name; of all scans for an empty text."""
    wanted = q.strip().lower()
    return [scan_id for scan_id in pinned.scans if not wanted or wanted in _words_of(pinned, scan_id)]


def _words_of(pinned: Pinned, scan_id: str) -> str:
    entry = pinned.opened.manifest.sources[scan_id]
    return f"{scan_id} {entry.header.source_name} {Path(entry.path).name}".lower()


def record_of(pinned: Pinned, scan_id: str) -> SourceRecord:
    """Return the record of a scan."""
    return SourceRecord(**_fields_of(pinned, scan_id))


def _fields_of(pinned: Pinned, scan_id: str) -> dict[str, Any]:
    record = list_scan(pinned.opened, scan_id).to_json()
    return {**record, "file": Path(record["file"]).name,
            "file_there": DecodedChannels.path_of(pinned, scan_id) is not None}


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
    windows, more = list_windows(pinned.opened, scan_id, f_start_mhz, f_stop_mhz, limit)
    return WindowPage([WindowRecord(**one.to_json()) for one in windows], more)


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
        **list_window(pinned.opened, source_id, number, snr).to_json(), "mjd": window.mjd,
        "target": entry.header.source_name, "file": Path(entry.path).name, "spectra": grid.integrations,
        "channels": grid.channels, "known": list(names_at(entry.header, window.f_start_mhz, window.f_stop_mhz))}, spread


def bands_in(f_start_mhz: float | None, f_stop_mhz: float | None) -> KnownBands:
    """Return the bands of known interference that touch a range of frequency."""
    low = -np.inf if f_start_mhz is None else f_start_mhz
    high = np.inf if f_stop_mhz is None else f_stop_mhz
    return KnownBands([
        BandRecord(band.name, band.kind, band.f_start_mhz, band.f_stop_mhz, band.telescope, band.source, band.note)
        for band in known_bands() if low <= band.f_stop_mhz and band.f_start_mhz <= high])
