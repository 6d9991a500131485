"""A corpus of files that were scanned for one search. The next search of the same files reads none of them again.

It lies in the user's cache, in a folder that only this user can read. It is emptied when it has grown too large.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.catalogue import Manifest
from pipeline.config import Config
from pipeline.errors import QueryError
from pipeline.run.file_selection import Selected, select_files
from pipeline.run.ingest import ingest_files
from pipeline.run.preconditions import manifest_if_any, with_serial
from pipeline.run.progress import ProgressChoice, RunReport, showing
from pipeline.store import LOCK, Lease
from pipeline.support.private_paths import make_private_folder, user_cache
from pipeline.support.safe_files import discard, discard_left
from pipeline.views import is_plain

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

    @property
    def scanned(self) -> int:
        """Number of files that were read now."""
        return sum(report.status == "done" and report.windows_seen > 0 for report in self.report.reports)


def cache_folder() -> Path:
    """Return the folder of the cache, which may not exist: ``lookalike/scans`` in ``$XDG_CACHE_HOME`` or ``~/.cache``.
    """
    return user_cache() / "scans"


def scan_into_cache(paths: Sequence[str | Path], progress: ProgressChoice = None) -> CachedScans:
    """Scan files that the cache does not hold yet.

    Parameters
    ----------
    paths : sequence of path
        Files and folders; folders are walked.
    progress : bool or callable, optional
        As for :func:`pipeline.run.ingest`.

    Raises
    ------
    ConfigError
        A path does not exist, no file is a filterbank file, or others can read or change the folder of the cache.
    QueryError
        None of the files can be searched; the message says why.
    CorpusLocked
        Another search is scanning files into the cache.
    """
    folder = cache_folder()
    make_private_folder(folder)
    discard_left(folder)
    root, emptied = folder / "corpus", 0
    if (held := _size_of(root)) > MAX_CACHE_BYTES:
        _empty(root)
        emptied = held
    selected = select_files(paths)
    with showing(progress) as listener:
        report = ingest_files(selected, root, config=_config(root, selected), listener=listener)
    manifest = manifest_if_any(root)
    ids = _held_by(manifest, {os.path.abspath(file.path) for file in selected.files}) if manifest else ()
    if not ids:
        why = next((one.message for one in report.reports if one.message), "no signal is in them")
        raise QueryError(f"{paths[0]}{' and others' if len(paths) > 1 else ''}: nothing to search ({why})")
    return CachedScans(root, ids, report, emptied)


def _held_by(manifest: Manifest, paths: set[str]) -> tuple[str, ...]:
    """Return the ids of the scans that files hold now. Scans that they held before stay in the cache, too."""
    now = {entry.source_id for path, entry in manifest.files.items() if path in paths}
    return tuple(source_id for source_id in manifest.sources if is_plain(source_id) and source_id in now)


def _config(root: Path, selected: Selected) -> Config:
    """Return the settings of a scan. Starting workers takes longer than scanning a few files."""
    size_bytes = sum(one[0] for one in selected.stats.values() if one is not None)
    return with_serial(Config.load(root), size_bytes <= MAX_SERIAL_BYTES)


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
