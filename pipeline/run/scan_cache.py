"""A corpus of files that were scanned for one search. The next search of the same files reads none of them again.

It lies in the user's cache, in a folder that only this user can read. It is emptied when it has grown too large. If
only some frequencies are searched, only the coarse channels around them are read. What is kept of them is a corpus of
its own beside the first one, because the range is a setting of a corpus.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipeline.catalogue import Manifest
from pipeline.config import Config, ScanConfig
from pipeline.errors import CorpusLocked, QueryError, SourceError
from pipeline.filterbank import open_filterbank
from pipeline.run.file_selection import Selected, select_files
from pipeline.run.ingest import ingest_files
from pipeline.run.preconditions import manifest_if_any, with_serial
from pipeline.run.progress import ProgressChoice, RunReport, showing
from pipeline.store import LOCK, Lease
from pipeline.support.private_paths import make_private_folder, user_cache
from pipeline.support.safe_files import discard, discard_left
from pipeline.support.text import listed
from pipeline.views import FREQUENCY_FACTORS, is_plain

MAX_CACHE_BYTES = 2 << 30
"""Size from which the cache is emptied before the next scan."""
MAX_SERIAL_BYTES = 1 << 30
"""Size of all files up to which they are scanned in this process."""


@dataclass(frozen=True, slots=True)
class CachedScans:
    """Files that were scanned into the cache."""

    root: Path
    """Folder of the corpus that holds them, and perhaps others."""
    source_ids: tuple[str, ...]
    """Ids of the scans of these files."""
    report: RunReport
    """What the scan did."""
    emptied_bytes: int = 0
    """Size of what was removed before, because the cache was too large."""
    band_mhz: tuple[int, int] | None = None
    """Range of frequency that was read, if it was not all of the files."""

    @property
    def scanned(self) -> int:
        """Number of files that were read now."""
        return sum(report.status == "done" and report.windows_seen > 0 for report in self.report.reports)


def cache_folder() -> Path:
    """Return the folder of the cache, which may not exist: ``lookalike/scans`` in ``$XDG_CACHE_HOME`` or ``~/.cache``.
    """
    return user_cache() / "scans"


def scan_into_cache(
    paths: Sequence[str | Path], progress: ProgressChoice = None, only_mhz: Sequence[tuple[float, float]] = ()
) -> CachedScans:
    """Scan files that the cache does not hold yet.

    Parameters
    ----------
    paths : sequence of path
        Files and folders; folders are walked.
    progress : bool or callable, optional
        As for :func:`pipeline.run.ingest`.
    only_mhz : sequence of (float, float), optional
        Ranges in MHz that will be searched. Only the coarse channels from the lowest to the highest of these
        frequencies are read, unless the cache holds all of the files. Default: all frequencies.

    Raises
    ------
    ConfigError
        A path does not exist, no file is a filterbank file, or others can read or change the folder of the cache.
    QueryError
        None of the files can be searched, or none has frequencies in ``only_mhz``; the message says why.
    CorpusLocked
        Another search is scanning files into the cache.
    """
    folder = cache_folder()
    make_private_folder(folder)
    discard_left(folder)
    emptied, selected = _emptied(folder), select_files(paths)
    band_mhz = _band_of(folder / "corpus", selected, only_mhz) if only_mhz else None
    root = folder / ("corpus-{}-{}-MHz".format(*band_mhz) if band_mhz else "corpus")
    with showing(progress) as listener:
        report = ingest_files(selected, root, config=_config(root, selected, band_mhz), listener=listener)
    manifest = manifest_if_any(root)
    ids = _held_by(manifest, {os.path.abspath(file.path) for file in selected.files}) if manifest else ()
    if not ids:
        why = next((one.message for one in report.reports if one.message), "no signal is in them")
        raise QueryError(f"{paths[0]}{' and others' if len(paths) > 1 else ''}: nothing to search ({why})")
    return CachedScans(root, ids, report, emptied, band_mhz)


def _band_of(
    whole: Path, selected: Selected, only_mhz: Sequence[tuple[float, float]]
) -> tuple[int, int] | None:
    """Return whole MHz between which all windows lie that share a channel with some ranges; None to read all there is.

    Parameters
    ----------
    whole : Path
        The corpus of files that were read as a whole. If it holds all of the files, none is read again.
    """
    manifest = manifest_if_any(whole)
    known = {} if manifest is None else {path: (entry.size_bytes, entry.mtime_ns)
                                         for path, entry in manifest.files.items() if entry.status == "done"}
    if all(known.get(path) == found for path, found in selected.stats.items()):
        return None
    headers = []
    for file in selected.files:
        with suppress(SourceError), open_filterbank(file.path, root=file.root, accept_truncated=True) as filterbank:
            headers.append(filterbank.header)
    if not headers:
        return None  # the scan says what is wrong with the files
    if not any(low < one.f_max_mhz and one.f_min_mhz < high for one in headers for low, high in only_mhz):
        bands = listed(sorted({f"{one.f_min_mhz:.6f}–{one.f_max_mhz:.6f} MHz" for one in headers}))
        raise QueryError(f"none of the files has the frequencies that are to be searched; they have {bands}")
    widest_mhz = ScanConfig().window * max(FREQUENCY_FACTORS) * max(one.channel_width_mhz for one in headers)
    low, high = (max(0.0, min(one.f_min_mhz for one in headers)), max(one.f_max_mhz for one in headers))
    low = max(low, min(ends[0] for ends in only_mhz) - widest_mhz)  # an end of a range may be infinite
    high = min(high, max(ends[1] for ends in only_mhz) + widest_mhz)
    if all(low <= one.f_min_mhz and one.f_max_mhz <= high for one in headers):
        return None
    return math.floor(low), math.ceil(high)


def _emptied(folder: Path) -> int:
    """Empty the cache if it is too large; return how many bytes were removed. What another search fills stays."""
    held = {path: _size_of(path) for path in folder.iterdir() if path.name.startswith("corpus")}
    if sum(held.values()) <= MAX_CACHE_BYTES:
        return 0
    emptied = 0
    for path, size_bytes in held.items():
        with suppress(CorpusLocked):
            _empty(path)
            emptied += size_bytes
    return emptied


def _held_by(manifest: Manifest, paths: set[str]) -> tuple[str, ...]:
    """Return the ids of the scans that files hold now. Scans that they held before stay in the cache, too."""
    now = {entry.source_id for path, entry in manifest.files.items() if path in paths}
    return tuple(source_id for source_id in manifest.sources if is_plain(source_id) and source_id in now)


def _config(root: Path, selected: Selected, band_mhz: tuple[int, int] | None) -> Config:
    """Return the settings of a scan. Starting workers takes longer than scanning a few files."""
    size_bytes = sum(one[0] for one in selected.stats.values() if one is not None)
    low, high = band_mhz or (None, None)
    config = Config.load(root, {"scan": {"f_start_mhz": low, "f_stop_mhz": high}})
    return with_serial(config, size_bytes <= MAX_SERIAL_BYTES)


def _size_of(folder: Path) -> int:
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(place, name)).st_size
            except FileNotFoundError:  # another search has emptied the cache meanwhile
                continue
    return total


def _empty(root: Path) -> None:
    """Remove the corpus of the cache.

    Raises
    ------
    CorpusLocked
        Another search is scanning files into it.
    """
    lease = Lease.acquire(root / LOCK)
    try:
        discard(root)
    finally:
        lease.release()
