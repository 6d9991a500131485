"""The scan of each row of a hit table: a named file, a file beside the table, or a source of the corpus."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from os import PathLike, fspath
from pathlib import Path

from pipeline.errors import QueryError
from pipeline.hit_tables import HitRow, ScanHint
from pipeline.model import SECONDS_PER_DAY, Header
from pipeline.search.filters import Filters
from pipeline.search.from_file import header_of_file
from pipeline.search.snapshot import OpenCorpus
from pipeline.support.text import listed
from pipeline.views import is_plain

SUFFIXES = (".h5", ".hdf5", ".fil")
"""Suffixes of a file beside the table, in the order in which they are tried."""
MAX_START_DIFFERENCE_S = 1.0
"""Largest difference between the start in a table and that in a header of the same scan."""


@dataclass(frozen=True, slots=True)
class RowScan:
    """The scan of a row, and the range of frequency that its signal covers."""

    file: str
    """Path, or id of a source of the corpus."""
    header: Header
    f_start_mhz: float
    f_stop_mhz: float


@dataclass(slots=True)
class ScanFinder:
    """Finds the scan of each row of a table.

    Parameters
    ----------
    corpus : OpenCorpus
    file : path, optional
        The file of all rows, as a user names it.
    folder : Path, optional
        Folder of the table; files beside it may be read.
    filters : Filters, optional
        Filters of the searches. If several scans may be meant, those count that the filters accept.
    """

    corpus: OpenCorpus
    file: str | PathLike[str] | None = None
    folder: Path | None = None
    filters: Filters | None = None
    _headers: dict[str, Header | QueryError] = field(default_factory=dict)
    _by_stem: dict[str, list[str]] = field(default_factory=dict)
    _own: dict[ScanHint, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for source_id, entry in self.corpus.manifest.sources.items():
            if is_plain(source_id):
                for path in (entry.path, *entry.also_at):
                    ids = self._by_stem.setdefault(_stem(path), [])
                    if source_id not in ids:
                        ids.append(source_id)

    def scan_of(self, row: HitRow) -> RowScan:
        """Return the scan of a row.

        Raises
        ------
        QueryError
            There is none, several may be meant, or the row's frequency is not in its band; the message says which.
        """
        named = self._named(row.scan)
        fitting = [one for one in named if _is_in_band(self._header(one), row.f_mhz)]
        if len(fitting) > 1 and self.filters:
            sources, several = self.corpus.manifest.sources, fitting
            fitting = [one for one in several if self.filters.accept_source(one, sources[one])] or several
        if len(fitting) != 1:
            raise QueryError(self._why_none(row, named, fitting))
        header = self._header(fitting[0])
        low, high = row.range_mhz(header.duration_s)
        return RowScan(fitting[0], header, max(low, header.f_min_mhz), min(high, header.f_max_mhz))

    def own_scans(self, row: HitRow, scan: RowScan | None) -> tuple[str, ...]:
        """Return the sources of the corpus that hold the scan of a row: same start, target, telescope and frequency.

        Parameters
        ----------
        scan : RowScan, optional
            Its header says what the scan is. By default, the table says it; none is found if it gives no start.
        """
        of = row.scan if scan is None else ScanHint(
            "", scan.header.source_name, scan.header.tstart_mjd, scan.header.telescope_id)
        of = replace(of, file_name="")
        if of not in self._own:
            self._own[of] = () if of.mjd is None else self._sources_of(of)
        sources = self.corpus.manifest.sources
        return tuple(one for one in self._own[of] if _is_in_band(sources[one].header, row.f_mhz))

    def _sources_of(self, scan: ScanHint) -> tuple[str, ...]:
        return tuple(source_id for source_id, entry in self.corpus.manifest.sources.items()
                     if is_plain(source_id) and _is_of(entry.header, scan) and _has_target(entry.header, scan))

    def _named(self, scan: ScanHint) -> list[str]:
        """Return the files or sources that may be a scan: the first way to find any counts."""
        if self.file is not None:
            return [fspath(self.file)]
        if self.folder is not None and scan.stem:
            beside = [self.folder / name for name in (scan.file_name, *(scan.stem + suffix for suffix in SUFFIXES))]
            for path in beside:
                if path.suffix in SUFFIXES and path.is_file() and _is_of(self._header(str(path)), scan):
                    return [str(path)]
        sources = self.corpus.manifest.sources
        by_stem = [one for one in self._by_stem.get(scan.stem, ()) if _is_of(sources[one].header, scan)]
        if by_stem or scan.mjd is None:
            return by_stem
        return list(self._sources_of(scan))

    def _header(self, file: str) -> Header:
        """Return the header of a file or source."""
        if file not in self._headers:
            try:
                self._headers[file] = header_of_file(self.corpus, file)
            except QueryError as error:
                self._headers[file] = error
        found = self._headers[file]
        if isinstance(found, QueryError):
            raise found
        return found

    def _why_none(self, row: HitRow, named: Sequence[str], fitting: Sequence[str]) -> str:
        """Say why a row has no scan of its own."""
        if len(fitting) > 1:
            return (f"several scans may be meant, {listed(fitting)}: name the file")
        if named:
            bands = ", ".join(f"{one}: {header.f_min_mhz:.6f}–{header.f_max_mhz:.6f} MHz"
                              for one in named[:3] for header in [self._header(one)])
            return f"{row.f_mhz:.6f} MHz is not within the band of its scan ({bands})"
        if not str(row.scan):
            return "the table names no scan: name the file"
        return f"no file beside the table and no source of {self.corpus.root} is its scan ({row.scan}): name the file"


def _stem(path: str) -> str:
    return ScanHint(os.path.basename(path)).stem


def _is_in_band(header: Header, f_mhz: float) -> bool:
    return header.f_min_mhz <= f_mhz <= header.f_max_mhz


def _is_of(header: Header, scan: ScanHint) -> bool:
    """Tell whether a header may be that of a scan: it starts at the same time, where the table says when."""
    return scan.mjd is None or abs(header.tstart_mjd - scan.mjd) * SECONDS_PER_DAY <= MAX_START_DIFFERENCE_S


def _has_target(header: Header, scan: ScanHint) -> bool:
    """Tell whether a header has the target and the telescope of a scan, where the table names them."""
    return (scan.source_name.upper() in ("", header.source_name.upper())
            and scan.telescope_id in (None, header.telescope_id))
