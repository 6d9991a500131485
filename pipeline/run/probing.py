"""Probes files: each file's header and a few samples are read, to find out which scan it holds."""

from __future__ import annotations

import logging
import math
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import replace

from pipeline import tasks
from pipeline.config import Config
from pipeline.errors import ConfigError, Reason
from pipeline.execute.engine import Call, Engine
from pipeline.filterbank import FoundFile
from pipeline.grid.coarse_layout import known_layout
from pipeline.model import Source, SourceReport
from pipeline.run.failures import crashed
from pipeline.run.file_selection import unchanged_s
from pipeline.run.plan import Plan
from pipeline.run.progress import Tracker
from pipeline.support.clock import now_s
from pipeline.support.text import listed, shown
from pipeline.tasks import Probed

logger = logging.getLogger(__name__)

PROBES_PER_TASK = 16

Probes = dict[FoundFile, Probed | SourceReport]
"""What was found out about each file."""


def probe_files(
    engine: Engine, files: Sequence[FoundFile], config: Config, tracker: Tracker, whole_after_s: float = math.inf
) -> Probes:
    """Probe files, several of them in one task.

    Parameters
    ----------
    whole_after_s : float
        A file whose end is missing is accepted with its whole spectra if it has not changed for this many seconds.
    """
    if not files:
        return {}
    tracker.enter("probe", tracker.files, tracker.files - len(files))
    batches = (tuple(files[first : first + PROBES_PER_TASK]) for first in range(0, len(files), PROBES_PER_TASK))
    now = now_s()

    def call(batch: tuple[FoundFile, ...]) -> Call:
        given = tuple(replace(file, accept_truncated=unchanged_s(file.path, now) >= whole_after_s) for file in batch)
        return Call(batch, tasks.probe_batch, (given, config.scan))

    calls = deque(map(call, batches))
    probes: Probes = {}

    def note(batch: Sequence[FoundFile], found: Sequence[Probed | SourceReport]) -> None:
        probes.update(zip(batch, found, strict=True))
        tracker.files_done += len(batch)
        tracker.tell()

    def on_error(batch: Sequence[FoundFile], error: BaseException) -> None:
        tracker.tasks += 1
        if len(batch) > 1:  # find out which of the files it is
            calls.extend(call((file,)) for file in batch)
        else:
            note(batch, [crashed(str(batch[0].path), "", error)])

    for batch, found in engine.run_all(calls, on_error):
        tracker.tasks += 1
        note(batch, found)
    tracker.tell(force=True)
    return probes


def require_filterbank(probed: Collection[Probed | SourceReport], reports: Sequence[SourceReport]) -> None:
    """Raise :class:`ConfigError` if neither the probed files nor the reports before them are of a filterbank file.

    A broken link that was skipped does not count as a filterbank file, either.
    """
    if any(isinstance(item, Probed) for item in probed):
        return
    others = [*reports, *(item for item in probed if isinstance(item, SourceReport))]
    if all(report.reason in (Reason.NOT_FILTERBANK, Reason.BAD_LINK, Reason.PERMISSION)
           and report.status == "skipped" for report in others):
        first = others[0].message if others else "no file was selected"
        more = f", and so with {len(others) - 1:,} more" if len(others) > 1 else ""
        raise ConfigError(f"nothing to ingest: {first}{more}; name filterbank files (.h5, .hdf5, .fil), or "
                          "folders that hold some")


def all_of_other_windows(probed: Collection[Probed | SourceReport]) -> list[SourceReport]:
    """Return the reports of files that are too small for one window, if no file can be used for that reason.

    No corpus is made then. It would keep this size of windows, and refuse the size that fits. Otherwise, the list is
    empty.
    """
    reports = [item for item in probed if isinstance(item, SourceReport)]
    reasons = {report.reason for report in reports} - {Reason.NOT_FILTERBANK}
    if len(reports) < len(probed) or not reasons or not reasons <= {Reason.TOO_FEW_CHANNELS, Reason.TOO_FEW_SAMPLES}:
        return []
    logger.warning("no file has room for a window, so no corpus is made; run again with windows that fit")
    return reports


def warn_of_coarse_channels(plan: Plan, config: Config) -> None:
    """Warn once of sources whose width of a coarse channel is unknown, and once of those that it does not divide.

    A source whose coarse channels are known but narrower than a window needs no warning: nothing can be done about it.
    """
    sources, width = [item.source for item in plan.todo], config.scan.coarse_width
    guessed = [source for source in sources if source.coarse.origin == "whole-band" and width is None
               and known_layout(source.header) is None]
    if guessed:
        logger.warning("%s: neither header nor data tell how wide the coarse channels are, so the whole band is "
                       "treated as one coarse channel; if it has several, their DC spikes and edges are kept as "
                       "signals; make a new corpus with --coarse-width then", _named(guessed))
    odd = [source for source in sources if width is not None and source.header.nchans % width]
    if odd:
        logger.warning("%s: a band of %s channels is no whole number of coarse channels of %s (--coarse-width): the "
                       "channels left at its end are treated as an incomplete coarse channel", _named(odd),
                       f"{odd[0].header.nchans:,}", f"{width:,}")


def warn_of_remarks(plan: Plan) -> None:
    """Warn once about each subject of the remarks on files, such as a keyword that cannot be used."""
    remarked: dict[str, list[Probed]] = {}
    for item in plan.todo:
        for subject in item.remarks:
            remarked.setdefault(subject, []).append(item)
    for subject, items in remarked.items():
        logger.warning("%s: %s", _named([item.source for item in items]), shown(items[0].remarks[subject]))


def _named(sources: Sequence[Source]) -> str:
    return shown(listed((source.path for source in sources), 1))
