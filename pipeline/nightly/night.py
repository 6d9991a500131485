"""The steps of a night.

One step after the other: ingest, index, verify, novelty. A step that fails is in the report and the next one goes on.
*Tonight's* sources are those that no complete report has: what a killed night left unsaid, the next one says.
"""

from __future__ import annotations

import logging
import socket
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from pipeline.catalogue import FileEntry, Manifest
from pipeline.config import Config
from pipeline.errors import CorpusLocked, CorpusNotFound, PipelineError
from pipeline.integrity import Verification, verify
from pipeline.model import SourceReport
from pipeline.nightly.due_files import Choice, next_try_s
from pipeline.nightly.novelty import Novelty, judge
from pipeline.nightly.report import (
    NightReport,
    Size,
    Step,
    Wrong,
    free_name,
    read_reported,
    write_report,
    write_reported,
)
from pipeline.run import RunReport, index, ingest
from pipeline.run.index import plan_segments
from pipeline.run.preconditions import manifest_if_any
from pipeline.run.progress import Listener
from pipeline.search.snapshot import OpenCorpus
from pipeline.store import CorpusStore
from pipeline.store.lease import Lease

MIN_AGE_S = 600.0
"""A file that has changed less long ago may still be written."""
NIGHT = ".lock"
"""Folder, in that of the reports, of the lease of the night's run."""

logger = logging.getLogger(__name__)

_T = TypeVar("_T")


def nightly(
    paths: Sequence[str | Path],
    corpus: str | Path = "corpus",
    client: Any = None,
    *,
    report_dir: str | Path | None = None,
    min_age_s: float = MIN_AGE_S,
    retry: bool = False,
    config: Config | None = None,
    serial: bool = False,
    listener: Listener | None = None,
) -> NightReport:
    """Take in what is new, index it, verify a sample, and report on it and on what is novel in it.

    Parameters
    ----------
    paths : sequence of path
        Files and folders of the archive.
    corpus : path
        Made if it is not there. What it holds before the first night is the past: only what comes later is novel.
    client : distributed.Client, optional
        As :func:`pipeline.run.ingest` takes it.
    report_dir : path, optional
        Default: beside the corpus, its name followed by ``-reports``.
    min_age_s : float
        Files that have changed since are left for the next night.
    retry : bool
        Try all files that failed before, whether they are due or not.
    config, serial, listener
        As :func:`pipeline.run.ingest` takes them.

    Returns
    -------
    NightReport
        Also written, as HTML and JSON, under the date, and as ``latest``.

    Raises
    ------
    CorpusLocked
        Another nightly run, or another run in this corpus, is at it.
    PipelineError
        The first ingest of a corpus failed: there is nothing to report on.
    """
    root = Path(corpus).absolute()
    folder = Path(f"{root}-reports") if report_dir is None else Path(report_dir).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    lease = Lease.acquire(folder / NIGHT)
    try:
        config = config or Config.load(root)
        return _Night(paths, root, folder, config, min_age_s, retry).run(client, serial, listener)
    finally:
        lease.release()


class _Night:
    def __init__(
        self, paths: Sequence[str | Path], root: Path, folder: Path, config: Config, min_age_s: float, retry: bool
    ) -> None:
        self.data = tuple(str(Path(path).absolute()) for path in paths)
        self.root, self.folder, self.config = root, folder, config
        self.began = datetime.now(UTC)
        self.choice = Choice(time.time(), min_age_s, config.nightly.tries, retry)
        self.steps: list[Step] = []

    def run(self, client: Any, serial: bool, listener: Listener | None) -> NightReport:
        """Go through the steps, write the report and return it."""
        before, reported = self._past()
        run = self._ingest(client, serial, listener)
        if next(plan_segments(CorpusStore.open(self.root).manifest(), self.config.index), None) is not None:
            self._step("index", lambda: index(self.root, client, config=self.config))
        verified = self._verify(listener)
        after = CorpusStore.open(self.root).manifest()
        tonight = after.sources.keys() - reported
        novelty: list[Novelty] | None = []
        if tonight:
            novelty = self._step("novelty", lambda: judge(OpenCorpus(self.root), tonight, self.config.nightly))
        report = self._report(run, before, after, sorted(tonight), verified, novelty or [])
        write_report(self.folder, report)
        if tonight and novelty is not None:
            write_reported(self.folder, list(after.sources))
        return report

    def _past(self) -> tuple[Manifest, set[str]]:
        """Return the corpus as it is, and which of its sources are no longer new."""
        before = manifest_if_any(self.root)
        reported = read_reported(self.folder)
        if reported is None:  # written at once: should this night be killed, the next one still knows
            reported = set(before.sources)
            write_reported(self.folder, list(reported))
        return before, reported

    def _ingest(self, client: Any, serial: bool, listener: Listener | None) -> RunReport | None:
        def work() -> RunReport:
            return ingest(list(self.data), self.root, client, config=self.config, serial=serial, listener=listener,
                          split=self.choice.split, may_be_empty=True)

        try:
            CorpusStore.open(self.root)
        except CorpusNotFound:
            return self._step("ingest", work, may_fail=False)  # there would be nothing to report on
        return self._step("ingest", work)

    def _verify(self, listener: Listener | None) -> Verification | None:
        share = self.config.nightly.verify
        return self._step("verify", lambda: verify(self.root, sample=share, listener=listener)) if share else None

    def _step(self, name: str, work: Callable[[], _T], *, may_fail: bool = True) -> _T | None:
        """Carry out a step; None where it failed, which is noted: the next one goes on. Not where a lock is held."""
        began = time.perf_counter()
        try:
            done = work()
        except Exception as error:
            if not may_fail or (isinstance(error, CorpusLocked) and not self.steps):
                raise
            if not isinstance(error, PipelineError):
                logger.exception("%s: %s failed", self.root, name)
            message = str(error) if isinstance(error, PipelineError) else repr(error)
            self.steps.append(Step(name, "failed", time.perf_counter() - began, message))
            return None
        self.steps.append(Step(name, "done", time.perf_counter() - began))
        return done

    def _report(
        self, run: RunReport | None, before: Manifest, after: Manifest, new_sources: list[str],
        verified: Verification | None, novelty: list[Novelty],
    ) -> NightReport:
        name, grid = free_name(self.folder, self.began), self.config.scan.grid
        left = {report.path for report in self.choice.left}
        reports = () if run is None else tuple(report for report in run.reports if report.path not in left)
        wrong = self._wrong(reports, after) if run is not None else self._wrong_before(after)
        has_failed = any(step.status == "failed" for step in self.steps) or any(one.tonight for one in wrong)
        counts = Counter(report.status for report in reports)
        return NightReport(
            corpus=self.root, data=self.data, host=socket.gethostname(), began=self.began, ended=datetime.now(UTC),
            exit_code=3 if has_failed or (verified is not None and verified.damages) else 0,
            steps=tuple(self.steps),
            done=tuple(report.path for report in reports if report.status == "done"),
            counts={**{status: counts[status] for status in ("done", "skipped", "failed", "busy")},
                    "left for the next night": len(self.choice.left)},
            wrong=wrong,
            left=tuple(report.message for report in self.choice.left),
            ingest={} if run is None else {key: value for key, value in run.to_json().items() if key != "sources"},
            before=Size.of(before, grid), after=Size.of(after, grid), new_sources=tuple(new_sources),
            verified={} if verified is None else verified.to_json(), novelty=tuple(novelty),
            files={kind: self.folder / f"{name}.{kind}" for kind in ("html", "json")},
        )

    def _wrong(self, reports: Sequence[SourceReport], manifest: Manifest) -> tuple[Wrong, ...]:
        """Tell of files that could not be used, tonight's first; those that are gone or have changed are not among."""
        wrong = []
        for report in reports:
            if report.status not in ("failed", "busy"):
                continue
            entry = manifest.files.get(report.path)
            if entry is None or not entry.is_wrong:  # a folder that cannot be walked, a link that leads nowhere
                wrong.append(Wrong(report.path, report.status, str(report.reason), report.message, tonight=True))
            else:
                wrong.append(self._described(report.path, entry))
        return tuple(sorted(wrong, key=lambda one: (not one.tonight, one.path)))

    def _wrong_before(self, manifest: Manifest) -> tuple[Wrong, ...]:
        """Tell the same from the manifest alone, where ingest did not get through."""
        return tuple(self._described(path, entry) for path, entry in sorted(manifest.files.items()) if entry.is_wrong)

    def _described(self, path: str, entry: FileEntry) -> Wrong:
        at_s = next_try_s(entry, self.config.nightly.tries)
        return Wrong(path, entry.status, str(entry.reason), entry.message, path in self.choice.taken, entry.tries,
                     since=_date(entry.since_s) if entry.since_s else "", next_try="" if at_s is None else _date(at_s))


def _date(unix_s: float) -> str:
    return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%d %H:%M}"
