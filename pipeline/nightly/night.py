"""The steps of a night, one after the other: ingest, index, verify, novelty, report.

A step that fails is in the report, and the next step goes on. *Tonight's* sources and failures are those that are in no
complete report. So the next night reports those that a killed night did not report.
"""

from __future__ import annotations

import logging
import socket
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipeline.catalogue import Manifest, scans_among
from pipeline.config import Config
from pipeline.errors import CorpusLocked, CorpusNotFound, PipelineError, Reason
from pipeline.families import has_families
from pipeline.integrity import Verification, verify
from pipeline.model import SourceReport
from pipeline.nightly.due_files import DueFiles, NightRules, select_due
from pipeline.nightly.family_news import FamilyNews, tell_families
from pipeline.nightly.novelty import Novelty, judge
from pipeline.nightly.report import (
    NightReport,
    Size,
    Step,
    Wrong,
    free_name,
    name_unwritable,
    write_report,
)
from pipeline.nightly.reported import Reported, read_reported, write_reported
from pipeline.nightly.wrong_files import words_on_other_files, wrong_files, wrong_files_known
from pipeline.run import (
    MIN_AGE_S,
    RESUMED,
    Listener,
    ProgressChoice,
    RunReport,
    Selected,
    as_made,
    index,
    ingest_files,
    make_corpus,
    manifest_if_any,
    plan_segments,
    select_files,
    showing,
    with_its_views,
    with_serial,
)
from pipeline.search import OpenCorpus
from pipeline.store import CorpusStore, Lease
from pipeline.support.clock import now_s
from pipeline.support.disk_faults import words_of
from pipeline.support.interrupts import require_not_interrupted
from pipeline.support.text import listed, shown

LOCK_FOLDER = ".lock"
"""Folder of the lease of a night, in the folder of the reports."""

logger = logging.getLogger(__name__)


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
    progress: ProgressChoice = None,
) -> NightReport:
    """Ingest new files, index them, verify a sample of the corpus, and report on that and on novel windows.

    Parameters
    ----------
    paths : sequence of path
        Files and folders of the archive. One that is missing stops no other: its disk may not be mounted.
    corpus : path
        Folder of the corpus. It is made if it does not exist. What it holds before the first night counts as the past:
        only windows that are added later can be novel.
    client : distributed.Client, optional
        Client of the cluster to run on. It may be without TLS. By default ``config.run`` says where tasks run.
    report_dir : path, optional
        Folder of the reports. Default: beside the corpus, its name followed by ``-reports``.
    min_age_s : float
        Files that have changed less than this many seconds ago are left for the next night. Older ones whose end is
        missing are read as far as their spectra are whole, with a warning in the report.
    retry : bool
        Try all files that failed before, whether they are due or not.
    config : Config, optional
        Default: the corpus' own ``corpus.toml`` and the user's settings, else the defaults.
    serial : bool
        Run every task in this process, with the same results: sets ``config.run.serial``.
    progress : bool or callable, optional
        True shows progress on standard error, False does not. By default it is shown in a notebook only. A callable is
        called with :class:`Progress` snapshots.

    Returns
    -------
    NightReport
        Also written as HTML and JSON, under the date and as ``latest``.

    Raises
    ------
    ConfigError
        The corpus has other views than those that ``config`` names.
    CorpusLocked
        Another night, or another run in this corpus, is under way.
    RunError
        The report cannot be written.
    PipelineError
        The first ingest of a new corpus failed: there is nothing to report on. If a path is missing, or no filterbank
        file is found, nothing is written.
    """
    root = Path(corpus).absolute()
    folder = Path(f"{root}-reports") if report_dir is None else Path(report_dir).absolute()
    data = tuple(str(Path(path).absolute()) for path in paths)
    found = None if _is_corpus(root) else select_files(data)
    with name_unwritable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lease = Lease.acquire(folder / LOCK_FOLDER)
    try:
        config = with_serial(config or Config.load(root), serial)
        if found is None:
            with_its_views(root, config, add=False)  # refuses other views than those of the corpus
        rules = NightRules(now_s(), min_age_s, config.nightly.tries, retry)
        with showing(progress) as listener:
            return _Night(root, folder, data, config, rules, found).run(client, listener)
    finally:
        lease.release()


@dataclass(slots=True)
class _Night:
    """One night, with all that its steps share."""

    root: Path
    folder: Path
    data: tuple[str, ...]
    config: Config
    rules: NightRules
    found: Selected | None
    """Files of the first night; None if there is a corpus."""
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    steps: list[Step] = field(default_factory=list)
    """The steps that have ended."""

    def run(self, client: Any, listener: Listener | None) -> NightReport:
        """Go through the steps, write the report and return it."""
        root, config = self.root, self.config
        is_first = self.found is not None
        before, reported = self._past()
        due: DueFiles | None = None
        ingested: RunReport | None = None
        verified: Verification | None = None
        novelty: list[Novelty] | None = []
        with self._step("ingest", may_fail=not is_first):  # without a corpus there is nothing to report on
            found = self.found or select_files(self.data, may_be_missing=True)
            make_corpus(root, config, client)
            due = select_due(found, manifest_if_any(root), self.rules)
            ingested = ingest_files(due.selected, root, client, config=config, retry=self.rules.retry,
                                    whole_after_s=self.rules.min_age_s, listener=listener)
        if next(plan_segments(CorpusStore.open(root).manifest(), config.index), None) is not None:
            with self._step("index"):
                index(root, client, config=config, progress=listener or False)
        if config.nightly.verify:
            with self._step("verify"):
                verified = verify(root, sample=config.nightly.verify, progress=listener or False)
        after = CorpusStore.open(root).manifest()
        tonight = after.sources.keys() - reported.sources
        if tonight:
            novelty = None
            with self._step("novelty"):
                novelty = judge(OpenCorpus(root), tonight, config.nightly)
        families: FamilyNews | None = None
        if tonight and has_families(root):
            with self._step("families"):
                families = tell_families(root, tonight)
        report = replace(self._report(due, ingested, before, after, reported, sorted(tonight), verified, novelty or []),
                         families=families)
        write_report(self.folder, report)
        told = reported.with_failures([one.path for one in report.wrong], after)
        if tonight and novelty is not None:
            told = replace(told, sources=frozenset(after.sources))
        if told != reported:
            write_reported(self.folder, told)
        return report

    def _past(self) -> tuple[Manifest, Reported]:
        """Return the corpus as it is, and what has been in a report."""
        before = manifest_if_any(self.root)
        reported = read_reported(self.folder, before)
        if reported is None:  # written at once: if this night is killed, the next one knows
            reported = Reported.all_of(before)
            write_reported(self.folder, reported)
        return before, reported

    @contextmanager
    def _step(self, name: str, *, may_fail: bool = True) -> Iterator[None]:
        """Note how a step ended. An error ends the step but not the night.

        Raises
        ------
        CorpusLocked
            Another run is under way, and this is the first step.
        Exception
            The step must not fail (``may_fail`` is False).
        """
        began = time.perf_counter()
        try:
            yield
        except Exception as error:
            require_not_interrupted(error)
            if not may_fail or (isinstance(error, CorpusLocked) and not self.steps):
                raise
            message = str(error) if isinstance(error, PipelineError) else ""
            if isinstance(error, OSError):
                message = message or words_of(error) or ""
            if not message:
                logger.exception("%s: %s failed", self.root, name)
                message = repr(error)
            self.steps.append(Step(name, "failed", time.perf_counter() - began, message))
        else:
            self.steps.append(Step(name, "done", time.perf_counter() - began))

    def _report(
        self, due: DueFiles | None, run: RunReport | None, before: Manifest, after: Manifest, reported: Reported,
        new_sources: list[str], verified: Verification | None, novelty: list[Novelty],
    ) -> NightReport:
        """Gather what the report says."""
        name, tries = free_name(self.folder, self.began), self.config.nightly.tries
        scan = as_made(CorpusStore.open(self.root), self.config).scan
        left = () if due is None else due.left
        reports = () if run is None else run.reports
        wrong = (wrong_files_known(after, self.rules.now_s, reported, tries) if run is None or due is None
                 else wrong_files(reports, after, due.known, reported, tries))
        missing = () if due is None else due.selected.missing
        counts = Counter(report.status for report in reports)
        return NightReport(
            corpus=self.root, data=self.data, host=socket.gethostname(), began=self.began, ended=datetime.now(UTC),
            exit_code=self._exit_code(wrong, verified, missing),
            steps=tuple(self.steps),
            done=tuple(report.path for report in reports if report.status == "done"),
            counts={**{status: counts[status] for status in ("done", "skipped", "failed", "busy")},
                    "left for the next night": len(left)},
            wrong=wrong,
            left=tuple(report.message for report in left),
            missing=missing,
            warnings=() if due is None else (*_warnings(due.selected), *words_on_other_files(reports)),
            ingest={} if run is None else {key: value for key, value in run.to_json().items() if key != "sources"},
            partly_read=tuple(report.message for report in reports
                              if report.status == "done" and report.message not in ("", RESUMED)),
            remarks=_remarks(reports),
            partly_covered=() if run is None else _partly_covered(run),
            moved=tuple({"source": source_id, "path": after.sources[source_id].path, "was_at": entry.path}
                        for source_id, entry in ((one, before.sources[one]) for one in scans_among(before.sources))
                        if source_id in after.sources and after.sources[source_id].path != entry.path),
            grown=tuple({"path": report.path, "replaces": list(report.replaces)}
                        for report in reports if report.status == "done" and report.replaces),
            before=Size.of(before, scan), after=Size.of(after, scan), new_sources=tuple(scans_among(new_sources)),
            verified={} if verified is None else verified.to_json(), novelty=tuple(novelty),
            files={kind: self.folder / f"{name}.{kind}" for kind in ("html", "json")},
        )

    def _exit_code(self, wrong: Sequence[Wrong], verified: Verification | None, missing: Sequence[str]) -> int:
        """Return 3 for a failure of this night or for damage; else 2 if a path is missing; else 0."""
        if any(step.status == "failed" for step in self.steps) or any(one.tonight for one in wrong):
            return 3
        if verified is not None and verified.damages:
            return 3
        return 2 if missing else 0


def _remarks(reports: Sequence[SourceReport]) -> tuple[str, ...]:
    """Return each remark on a header once, with the first file that it concerns and the number of others."""
    paths: dict[str, list[str]] = {}
    for report in reports:
        for remark in report.remarks:
            paths.setdefault(remark, []).append(report.path)
    return tuple(f"{listed(of, 1)}: {remark}" for remark, of in paths.items())


def _warnings(found: Selected) -> tuple[str, ...]:
    """Return what is wrong with the paths of a night, apart from failures."""
    skipped = [report.message for report in found.reports
               if report.status == "skipped" and report.reason in (Reason.BAD_LINK, Reason.PERMISSION)]
    return (*(f"{shown(path)}: holds no filterbank file; is its disk mounted?" for path in found.empty), *skipped)


def _partly_covered(run: RunReport) -> tuple[dict[str, Any], ...]:
    """List the ingested files with channels or spectra in no window, those with most such samples first."""
    covered = ((run.coverage[report.source_id], report.path) for report in run.by_status("done")
               if report.source_id in run.coverage)
    partly = sorted(((one, path) for one, path in covered if one.samples_skipped),
                    key=lambda item: (-item[0].samples_skipped, item[1]))
    return tuple({"path": path, **asdict(one)} for one, path in partly)


def _is_corpus(root: Path) -> bool:
    try:
        CorpusStore.open(root)
    except CorpusNotFound:
        return False
    return True
