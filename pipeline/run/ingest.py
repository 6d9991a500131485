"""What an ingest has to do, from probing its files, and what the manifest is to say of them."""

from __future__ import annotations

import errno
import logging
import os
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from pipeline import tasks
from pipeline.config import Config, fingerprint
from pipeline.errors import ConfigError, EncoderError, PrecisionError, Reason, RunError
from pipeline.filterbank import FoundFile
from pipeline.model import Source, SourceReport, Timing
from pipeline.plan import Plan, Probed, choose_sources, parts_of
from pipeline.run.engine import Engine, pump
from pipeline.run.progress import Tracker
from pipeline.store import CorpusStore, FileEntry, Manifest
from pipeline.text import shown
from pipeline.windows import Tiling, product_width

logger = logging.getLogger(__name__)

PROBES_PER_TASK = 16
UNWRITABLE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM}
"""Errors of the corpus' disk. The same of a source are reported as the source's."""

Stat = tuple[int, int]
"""(size in bytes, time of change in ns) of a file."""


def make_plan(
    engine: Engine, files: Sequence[FoundFile], manifest: Manifest, config: Config, tracker: Tracker
) -> Plan:
    """Probe files and decide which of them are sources to ingest."""
    tracker.enter("probe", tracker.files, tracker.files - len(files))
    batches = deque(tuple(files[first : first + PROBES_PER_TASK]) for first in range(0, len(files), PROBES_PER_TASK))
    probed: dict[FoundFile, Probed | SourceReport] = {}

    def submit_next() -> bool:
        if not batches:
            return False
        batch = batches.popleft()
        engine.submit(batch, tasks.probe_batch, batch, config.scan)
        return True

    for batch, outcome in pump(engine, submit_next):
        tracker.tasks += 1
        if isinstance(outcome, BaseException) and len(batch) > 1:  # find out which of them it was
            batches.extend((file,) for file in batch)
            continue
        if isinstance(outcome, BaseException):
            outcome = [crashed(str(batch[0].path), "", outcome)]
        probed.update(zip(batch, outcome, strict=True))
        tracker.files_done += len(batch)
        tracker.tell()
    # in the order found, not of arrival: the first of several copies is the one that is read
    plan = choose_sources([probed[file] for file in files], manifest)
    _warn_of_coarse_channels(plan, config)
    return plan


def require_filterbank(plan: Plan, reports: Sequence[SourceReport]) -> None:
    """Raise :class:`ConfigError` where neither a plan nor the reports before it know of a filterbank file."""
    others = [*reports, *plan.reports]
    if not plan.todo and all(report.reason is Reason.NOT_FILTERBANK for report in others):
        more = f", and so with {len(others) - 1:,} more" if len(others) > 1 else ""
        raise ConfigError(f"nothing to ingest: {others[0].message}{more}; name filterbank files (.h5, .hdf5, .fil), or "
                          "folders that hold some")


def _warn_of_coarse_channels(plan: Plan, config: Config) -> None:
    """Say once whose band is taken as one for want of anything better, and whose band a given width does not divide.

    Where the coarse channels are known but narrower than a window, there is nothing to be done.
    """
    sources, width = [item.source for item in plan.todo], config.scan.coarse_width
    guessed = [source for source in sources if source.coarse.origin == "whole-band" and width is None
               and product_width(source.header) is None]
    if guessed:
        logger.warning("%s: neither header nor data tell how wide the coarse channels are, so the band is taken as "
                       "one: if there are any, their DC spikes and edges are kept as signals; name the width with "
                       "--coarse-width in a new corpus", _named(guessed))
    odd = [source for source in sources if width is not None and source.header.nchans % width]
    if odd:
        logger.warning("%s: a band of %s channels is no whole number of coarse channels of %s (--coarse-width): what "
                       "is left over at its end is taken as a piece of one", _named(odd),
                       f"{odd[0].header.nchans:,}", f"{width:,}")


def _named(sources: Sequence[Source]) -> str:
    more = f" and {len(sources) - 1:,} more" if len(sources) > 1 else ""
    return f"{shown(sources[0].path)}{more}"


def is_unwritable(error: BaseException) -> bool:
    """Tell whether an error is one of the corpus' disk, which ends the run."""
    return isinstance(error, OSError) and error.errno in UNWRITABLE


def unwritable(root: Path, error: BaseException) -> RunError:
    """Return the error that says what to do about a corpus' disk."""
    return RunError(f"{root}: cannot be written ({error}); make room, or see to its permissions or its "
                    "disk, and run again: what is committed stays")


@contextmanager
def disk_errors(root: Path) -> Iterator[None]:
    """Say what to do about a full or read-only disk, wherever in a run it shows."""
    try:
        yield
    except OSError as error:
        if error.errno not in {*UNWRITABLE, errno.EIO}:
            raise
        raise unwritable(root, error) from error


def stat_of(path: str | Path) -> Stat | None:
    """Size and time of change of a file, None where it has gone."""
    try:
        stat = os.stat(path)
    except OSError:
        return None
    return stat.st_size, stat.st_mtime_ns


def note_files(store: CorpusStore, reports: Sequence[SourceReport], stats: Mapping[str, Stat | None]) -> None:
    """Record what was found out about files that are not to be ingested, so that the next run need not look again.

    ``stats`` are those from *before* the files were looked at: one that has changed since is looked at again.
    """

    def change(manifest: Manifest) -> Manifest:
        entries = {}
        for report in reports:
            stat = stats.get(report.path)
            if stat is None:
                continue
            entry = file_entry(report, stat, manifest)
            if _differs(entry, manifest.files.get(report.path)):
                entries[report.path] = entry
            held = manifest.sources.get(report.source_id)
            if report.reason is Reason.DUPLICATE and held and report.path not in {held.path, *held.also_at}:
                manifest = manifest.with_also_at(report.source_id, [report.path])
        return manifest.with_files(entries) if entries else manifest

    store.publish(change)


def _differs(entry: FileEntry, before: FileEntry | None) -> bool:
    """Tell whether an entry says something new; that a file was tried once more is new only where it may heal."""
    if before is not None and (entry.reason is None or not entry.reason.may_heal):
        return replace(entry, tries=before.tries, tried_s=before.tried_s, since_s=before.since_s) != before
    return True


def works_of(
    plan: Plan, found: Iterable[FoundFile], store: CorpusStore, staging: Path, config: Config
) -> deque[tasks.Work]:
    """Spell out the tasks of every source to do."""
    roots = {str(file.path): file.root for file in found}
    works: deque[tasks.Work] = deque()
    for item in plan.todo:
        tiling = Tiling(item.source.header, config.scan.grid, item.source.coarse)
        works.append(tasks.Work(
            corpus=store.root,
            staging=staging,
            source=item.source,
            also_at=item.also_at,
            root=roots[item.source.path],
            scan=config.scan,
            encoder=config.encoder,
            identity=fingerprint(store.identity),
            parts=tuple((part.start, part.stop) for part in parts_of(tiling)),
        ))
    return works


def file_entry(report: SourceReport, stat: Stat, manifest: Manifest) -> FileEntry:
    """What the manifest is to say of a file."""
    before = manifest.files.get(report.path)
    same = before is not None and (before.size_bytes, before.mtime_ns) == stat
    # skipped without a reason: what it holds is in the corpus already
    is_held = report.status == "done" or (report.status == "skipped" and report.reason is None)
    entry = FileEntry(*stat, status="done" if is_held else report.status, reason=report.reason,
                      message="" if is_held else report.message, source_id=report.source_id,
                      tries=before.tries + 1 if before is not None and same else 1)
    if not entry.is_wrong:
        return entry
    now = time.time()
    return replace(entry, tried_s=now, since_s=before.since_s or now if before is not None and same else now)


def crashed(path: str, source_id: str, error: BaseException) -> SourceReport:
    """Report a task that failed for no reason of its source that we know; an error of the whole run is raised.

    That a worker does not compute in the run's precision is its own: others may, now or in the next run.
    """
    if isinstance(error, PrecisionError):
        logger.warning("%s: task refused: %s", path, error)
        return SourceReport(path, "failed", source_id, Reason.CRASHED, f"{path}: {error}", timing=Timing())
    if is_unwritable(error) or isinstance(error, ConfigError | EncoderError | RunError):
        raise error
    logger.warning("%s: task failed: %r", path, error)
    return SourceReport(path, "failed", source_id, Reason.CRASHED, f"{path}: {type(error).__name__}: {error}",
                        timing=Timing())
