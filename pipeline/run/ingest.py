"""Ingest: reads filterbank files and adds their windows and vectors to a corpus."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline import tasks
from pipeline.catalogue import FileEntry, Manifest
from pipeline.config import Config
from pipeline.execute.cluster import engine_for, runs_on_this_machine
from pipeline.execute.engine import Engine, SerialEngine
from pipeline.filterbank import FoundFile
from pipeline.gate import is_compiled
from pipeline.grid.coverage import Coverage
from pipeline.grid.tiling import Tiling
from pipeline.model import EncoderSpec, SourceReport
from pipeline.run.beginnings import find_beginnings
from pipeline.run.driver import Driver
from pipeline.run.embed import embed_stored, embeds_on_gpu, merge_reports, note_encoder
from pipeline.run.failures import crashed, disk_errors
from pipeline.run.file_entries import note_faults, note_files
from pipeline.run.file_selection import MIN_AGE_S, Selected, select_files, stat_of
from pipeline.run.index import gather
from pipeline.run.more_views import Wanted, add_wanted, instead_of, note_views, preview_of_views, settled_scan
from pipeline.run.plan import Plan, choose_sources, may_heal, split_known
from pipeline.run.preconditions import (
    manifest_if_any,
    open_or_create,
    require_ingestable,
    require_own_encoder,
    settled,
    spec_of,
    with_serial,
    writing,
)
from pipeline.run.probing import (
    Probes,
    all_of_other_windows,
    probe_files,
    require_filterbank,
    warn_of_coarse_channels,
    warn_of_remarks,
)
from pipeline.run.progress import COMPILING, Listener, ProgressChoice, RunReport, Tracker, showing
from pipeline.run.task_sizes import parts_of
from pipeline.store import CorpusStore, fingerprint
from pipeline.support.interrupts import note_saved


def ingest(
    paths: Sequence[str | Path],
    corpus: str | Path = "corpus",
    client: Any = None,
    *,
    config: Config | None = None,
    accept_truncated: bool = False,
    add_views: bool = False,
    add_overview: bool = False,
    serial: bool = False,
    dry_run: bool = False,
    progress: ProgressChoice = None,
) -> RunReport:
    """Read filterbank files and add what they hold to a corpus.

    Parameters
    ----------
    paths : sequence of path
        Files and folders; folders are walked.
    corpus : path
        Folder of the corpus. It is made if it does not exist. Files that it holds already are not read again.
    client : distributed.Client, optional
        Client of the cluster to run on. It may be without TLS. By default ``config.run`` says where tasks run.
    config : Config, optional
        Default: the corpus' own ``corpus.toml`` and the user's settings, else the defaults.
    accept_truncated : bool
        True to read the whole spectra of files whose end is missing, with a warning in their reports. By default, this
        is done with files that have not changed for ten minutes. Others are reported as TRUNCATED.
    add_views : bool
        Give the corpus the averaged views that ``config`` names (the automatic ones if neither it nor the corpus names
        any): files that it holds are read again. By default, the views must be those that the corpus has.
    add_overview : bool
        Give the corpus overviews: files that it holds are read again if they have none. A new corpus gets them, too.
    serial : bool
        Run every task in this process, with the same results: sets ``config.run.serial``.
    dry_run : bool
        Find and probe files only; write nothing.
    progress : bool or callable, optional
        True shows progress on standard error, False does not. By default it is shown in a notebook only. A callable is
        called with :class:`Progress` snapshots.

    Returns
    -------
    RunReport
        With one report for each file.

    Raises
    ------
    ConfigError
        A path does not exist; no filterbank file is found, and there is no corpus yet (none is made then); the
        configuration is wrong; or the cluster cannot be used.
    EncoderError
        The encoder cannot be loaded, for example because its weights are missing. No corpus is made then.
    CorpusMismatch
        The corpus was made with other settings or another encoder.
    CorpusLocked
        Another run writes to the corpus.
    RunError
        The corpus' disk or the cluster failed. What is committed stays; run again to go on.
    """
    config = config or Config.load(Path(corpus).absolute())
    with showing(progress) as listener:
        return ingest_files(select_files(paths), corpus, client, config=with_serial(config, serial), dry_run=dry_run,
                            whole_after_s=-math.inf if accept_truncated else MIN_AGE_S, add_views=add_views,
                            add_overview=add_overview, listener=listener)


def ingest_files(
    selected: Selected,
    corpus: str | Path = "corpus",
    client: Any = None,
    *,
    config: Config | None = None,
    retry: bool = False,
    whole_after_s: float = MIN_AGE_S,
    add_views: bool = False,
    add_overview: bool = False,
    dry_run: bool = False,
    listener: Listener | None = None,
) -> RunReport:
    """Read selected files and add what they hold to a corpus.

    Parameters
    ----------
    selected : Selected
        The files; its reports become part of the run's report.
    retry : bool
        Try every file again that failed before. By default, only files whose reason may heal are tried again.
    whole_after_s : float
        A file whose end is missing is read as far as its spectra are whole, if it has not changed for this many
        seconds. Until then it may still grow.
    listener : callable, optional
        Called with :class:`Progress` snapshots.
    corpus, client, config, add_views, add_overview, dry_run
        See :func:`ingest`, also for returned values and errors.
    """
    began = time.perf_counter()
    root = Path(corpus).absolute()
    config = config or Config.load(root)
    is_new = not require_ingestable(root, config)
    config = replace(config, encoder=settled(config.encoder, manifest_if_any(root)))
    config = settled_scan(root, config, Wanted(add_views, add_overview), is_new=is_new)
    is_here = runs_on_this_machine(config.run, client)
    # before anything is made: the encoder may be missing
    spec = spec_of(root, config.encoder, config, computes_here=is_here)
    run = _Ingest(root, config, selected, is_new, retry, whole_after_s, Wanted(add_views, add_overview),
                  Tracker(listener, files=len(selected.files)), is_here)
    if dry_run:
        reports = run.preview()
    else:
        note_saved("source")
        with disk_errors(root), engine_for(config.run, client) as engine:
            reports = run.carry_out(engine, spec)
            spec = spec_of(root, config.encoder, config)  # the projection may be fitted by now
    key = "" if spec is None else spec.key
    return RunReport(tuple(reports), time.perf_counter() - began, run.tracker.tasks, dry_run, key, run.coverage)


@dataclass(slots=True)
class _Ingest:
    """One ingest, with all that its steps share."""

    root: Path
    config: Config
    selected: Selected
    is_new: bool
    """True if there was no corpus when the run began."""
    retry: bool
    whole_after_s: float
    wanted: Wanted
    tracker: Tracker
    scans_here: bool
    """True if files are scanned on this machine."""
    coverage: dict[str, Coverage] = field(default_factory=dict)
    """Source id → what part of a source that was scanned is in windows."""

    def preview(self) -> list[SourceReport]:
        """Probe files in this process and report what an ingest would do."""
        manifest = manifest_if_any(self.root)
        unknown, known = self._split(manifest)
        probes = self._probe(SerialEngine(), unknown)
        plan = self._plan(SerialEngine(), unknown, probes, manifest)
        if self.is_new:
            require_filterbank(probes.values(), self.selected.reports)
        todo = [SourceReport(p.source.path, "skipped", p.source.id, message="would be ingested") for p in plan.todo]
        if self.wanted:
            viewed = preview_of_views(manifest, self.selected, self.config, self.wanted)
            known = [*instead_of(known, viewed), *viewed]
        return [*self.selected.reports, *known, *plan.reports, *todo]

    def carry_out(self, engine: Engine, spec: EncoderSpec | None) -> list[SourceReport]:
        """Ingest the files; make the corpus first if there is none."""
        config, tracker = self.config, self.tracker
        probes: Probes = {}
        if self.is_new:  # no corpus is made of files that are no filterbank files
            probes = self._probe(engine, self.selected.files)
            require_filterbank(probes.values(), self.selected.reports)
            if refused := all_of_other_windows(probes.values()):
                return [*self.selected.reports, *refused]
        store = open_or_create(self.root, config)
        with writing(store, engine):
            require_own_encoder(store, config.encoder, spec)
            note_encoder(store, spec, config.encoder)
            note_faults(store, self.selected)
            unknown, known = self._split(store.manifest())
            probes |= self._probe(engine, [file for file in unknown if file not in probes])
            scanned = self._scan(engine, store, spec, unknown, probes)
            if self.wanted:
                note_views(self.root, config)
                viewed = add_wanted(engine, store, spec, self.selected, config, self.wanted, tracker)
                known = [*instead_of(known, viewed), *viewed]
            reports = [*self.selected.reports, *known, *scanned]
            self.coverage = _coverage_of(scanned, store.manifest(), config)
            reports = merge_reports(reports, embed_stored(engine, store, config.encoder, config, tracker))
            gather(store, config.index)
            return reports

    def _probe(self, engine: Engine, files: Sequence[FoundFile]) -> Probes:
        return probe_files(engine, files, self.config, self.tracker, self.whole_after_s)

    def _split(self, manifest: Manifest) -> tuple[list[FoundFile], list[SourceReport]]:
        """Separate files that must be probed from files that the manifest knows."""
        files = self.selected.files
        stats = [self.selected.stats[str(file.path)] for file in files]
        return split_known(files, stats, manifest, _has_failed if self.retry else may_heal, self._is_gone)

    def _is_gone(self, path: str) -> bool:
        """Return True if no file has this path any more."""
        stats = self.selected.stats
        return (stats[path] if path in stats else stat_of(path)) is None

    def _plan(self, engine: Engine, files: Sequence[FoundFile], probes: Probes, manifest: Manifest) -> Plan:
        # in the order of the files, not of arrival: the first of several copies is the one that is read
        ordered = {file: probes[file] for file in files}
        beginnings = find_beginnings(engine, ordered, manifest, self.config.scan, self.tracker)
        plan = choose_sources(list(ordered.values()), manifest, self._is_gone, beginnings)
        warn_of_coarse_channels(plan, self.config)
        warn_of_remarks(plan)
        return plan

    def _scan(
        self, engine: Engine, store: CorpusStore, spec: EncoderSpec | None, files: Sequence[FoundFile], probes: Probes
    ) -> Collection[SourceReport]:
        """Add the windows of files to the corpus, and their vectors unless the encoder must be fitted first."""
        plan = self._plan(engine, files, probes, store.manifest())
        note_files(store, plan.reports, self.selected.stats, plan.moved)
        if not plan.todo:
            return plan.reports
        roots = {str(file.path): file.root for file in files}
        works, failed = _works_of(plan, roots, store, self.config)
        note_files(store, failed, self.selected.stats)
        note = COMPILING if works and self.scans_here and not is_compiled() else ""
        self.tracker.enter("scan", self.tracker.files, self.tracker.files - len(works), note=note)
        driver = Driver(engine, store, spec, embeds_on_gpu(engine, self.config), self.tracker)
        return [*plan.reports, *failed, *driver.run(works)]


def _has_failed(entry: FileEntry) -> bool:
    return entry.is_wrong


def _coverage_of(
    reports: Collection[SourceReport], manifest: Manifest, config: Config
) -> dict[str, Coverage]:
    """Return what part of each ingested source is in windows, by its id."""
    done = {report.source_id for report in reports if report.status == "done"}
    entries = ((source_id, manifest.sources[source_id]) for source_id in sorted(done & manifest.sources.keys()))
    return {source_id: Coverage.of(entry.tiling(config.scan.grid)) for source_id, entry in entries}


def _works_of(
    plan: Plan, roots: Mapping[str, Path], store: CorpusStore, config: Config
) -> tuple[deque[tasks.Work], list[SourceReport]]:
    """Describe the tasks of every source that is to be ingested; ``roots`` has each file's DATA argument.

    Returns
    -------
    deque of Work, list of SourceReport
        The tasks; and a report of each source whose tasks cannot be described. Such a source stops no other.
    """
    staging = store.new_staging()
    works: deque[tasks.Work] = deque()
    failed = []
    for item in plan.todo:
        try:
            tiling = Tiling(item.source.header, config.scan.grid, item.source.coarse)
        except Exception as error:
            failed.append(crashed(item.source.path, item.source.id, error))
            continue
        works.append(tasks.Work(
            corpus=store.root,
            staging=staging,
            source=item.source,
            also_at=item.also_at,
            warning=item.warning,
            remarks=tuple(item.remarks.values()),
            replaces=item.replaces,
            root=roots[item.source.path],
            scan=config.scan,
            encoder=config.encoder,
            identity=fingerprint(store.identity),
            parts=tuple((part.start, part.stop) for part in parts_of(tiling)),
        ))
    return works, failed
