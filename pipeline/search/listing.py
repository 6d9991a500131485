"""What a corpus holds, as lists: its scans, and the kept windows of one scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from pipeline.catalogue import scans_among
from pipeline.errors import ParameterError, parameter
from pipeline.export import SCAN_COLUMNS, WINDOW_COLUMNS, Table
from pipeline.grid.places import first_channels
from pipeline.views import View, split_id, view_of

if TYPE_CHECKING:
    from pipeline.search.snapshot import OpenCorpus


@dataclass(frozen=True, slots=True)
class ListedScan:
    """A scan of a corpus."""

    id: str
    file: str
    """Path of the file that was read."""
    target: str
    telescope: str
    mjd: float
    """Start of the first spectrum, UTC."""
    f_start_mhz: float
    """Lower edge of the lowest channel."""
    f_stop_mhz: float
    channels: int
    channel_width_hz: float
    spectra: int
    tsamp_s: float
    windows: int
    """Windows that were searched for signals, kept or not."""
    kept: int
    """Windows that were kept."""
    views: tuple[str, ...]
    """Averaged views of the scan, the finest first."""
    overview: bool
    """True if the corpus has an overview of the scan."""

    def to_json(self) -> dict[str, Any]:
        """Return the flat record that ``scans --json`` prints."""
        return {**asdict(self), "views": list(self.views)}


@dataclass(frozen=True, slots=True)
class ListedWindow:
    """A kept window."""

    window: int
    """Number in its source: ``SOURCE/window`` names it, where SOURCE is the id of ``source``."""
    source: str
    """Id of the scan, or of the averaged view of it, that the window belongs to."""
    view: str
    """Name of the averaged view; empty for the plain one."""
    channel_start: int
    """First channel of the scan, whatever the view; channels are counted from low frequency."""
    channel_stop: int
    f_start_mhz: float
    f_stop_mhz: float
    t_start_s: float
    t_stop_s: float
    snr: float
    """The gate's largest box sum, in standard deviations of that box's noise."""

    def to_json(self) -> dict[str, Any]:
        """Return the flat record that ``scans SCAN --json`` prints."""
        return asdict(self)


def list_scan(corpus: OpenCorpus, scan_id: str) -> ListedScan:
    """Return the record of a scan."""
    entry = corpus.manifest.sources[scan_id]
    header = entry.header
    return ListedScan(
        id=scan_id, file=entry.path, target=header.source_name, telescope=header.telescope, mjd=header.tstart_mjd,
        f_start_mhz=header.f_min_mhz, f_stop_mhz=header.f_max_mhz, channels=header.nchans,
        channel_width_hz=header.channel_width_mhz * 1e6, spectra=header.nsamples, tsamp_s=header.tsamp_s,
        windows=entry.windows_seen, kept=entry.windows_kept, views=tuple(one.name for one in views_of(corpus, scan_id)),
        overview=entry.overview)


def list_scans(corpus: OpenCorpus) -> list[ListedScan]:
    """Return the records of all scans, by id."""
    return [list_scan(corpus, scan_id) for scan_id in sorted(scans_among(corpus.manifest.sources))]


def views_of(corpus: OpenCorpus, scan_id: str) -> list[View]:
    """Return the averaged views of a scan, the finest first."""
    sources = corpus.manifest.sources
    names = corpus.keep_object("names of views", lambda: {view_of(source_id) for source_id in sources} - {""})
    return sorted((View.named(name) for name in names if View.named(name).id_of(scan_id) in sources),
                  key=lambda view: view.order)


def list_windows(corpus: OpenCorpus, scan_id: str, f_start_mhz: float | None = None, f_stop_mhz: float | None = None,
                 limit: int | None = None) -> tuple[list[ListedWindow], bool]:
    """Return the kept windows of a scan and of its views that touch a range of frequency.

    Returns
    -------
    list of ListedWindow
        By ascending frequency. If there are more than ``limit``, those with the highest SNR.
    bool
        True if there are more than ``limit``.

    Raises
    ------
    ParameterError
        The range is empty.
    """
    header = corpus.manifest.sources[scan_id].header
    low = header.f_min_mhz if f_start_mhz is None else f_start_mhz
    high = header.f_max_mhz if f_stop_mhz is None else f_stop_mhz
    if not low < high:
        raise ParameterError(f"{low}–{high} MHz is no range of this scan, whose band is {header.f_min_mhz:.6f} to "
                             f"{header.f_max_mhz:.6f} MHz; give the lower frequency first, as "
                             f"{parameter('f_start_mhz')}")
    found: list[tuple[float, str, int]] = []
    for source_id in (scan_id, *(view.id_of(scan_id) for view in views_of(corpus, scan_id))):
        found += [(snr, source_id, number) for snr, number in _touching(corpus, source_id, low, high)]
    found.sort(reverse=True)
    windows = [list_window(corpus, source_id, number, snr) for snr, source_id, number in found[:limit]]
    windows.sort(key=lambda one: (one.f_start_mhz, one.t_start_s))
    return windows, limit is not None and len(found) > limit


def list_window(corpus: OpenCorpus, source_id: str, number: int, snr: float) -> ListedWindow:
    """Return the record of a kept window."""
    window = corpus.window(source_id, number)
    scan, name = split_id(source_id)
    header = corpus.manifest.sources[scan if scan in corpus.manifest.sources else source_id].header
    first, stop = (round(header.channel_at(edge)) for edge in (window.f_start_mhz, window.f_stop_mhz))
    return ListedWindow(number, source_id, name, max(first, 0), min(stop, header.nchans), window.f_start_mhz,
                        window.f_stop_mhz, window.t_start_s, window.t_stop_s, round(snr, 2))


def channel_starts(corpus: OpenCorpus, source_id: str) -> NDArray[np.int64]:
    """Return the first channel of each kept window of a source: (rows,)."""
    return corpus.keep_array((source_id, "channel_start"), lambda: first_channels(
        corpus.tiling(source_id), corpus.numbers(source_id)))


def _touching(corpus: OpenCorpus, source_id: str, low_mhz: float, high_mhz: float) -> list[tuple[float, int]]:
    """Return SNR and number of the kept windows of a source that touch a range."""
    numbers, tiling = corpus.numbers(source_id), corpus.tiling(source_id)
    if not len(numbers):
        return []
    starts = channel_starts(corpus, source_id)
    first, stop = tiling.header.channel_at(low_mhz), tiling.header.channel_at(high_mhz)
    rows = np.flatnonzero((starts < stop) & (starts + tiling.grid.channels > first))
    snr = corpus.column(source_id, "snr", rows)
    return list(zip(snr.astype(float).tolist(), numbers[rows].tolist(), strict=True))


def table_of_scans(scans: Sequence[ListedScan]) -> Table:
    """Return scans as a table, to save it."""
    return Table(name="scans", description="Scans of a corpus", columns=SCAN_COLUMNS,
                 rows=[{**one.to_json(), "views": " ".join(one.views)} for one in scans])


def table_of_windows(windows: Sequence[ListedWindow], of: str) -> Table:
    """Return kept windows as a table, to save it. ``of`` says of what they are."""
    return Table(name="windows", description=f"Kept windows of {of}", columns=WINDOW_COLUMNS,
                 rows=[one.to_json() for one in windows])
