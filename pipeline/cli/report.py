"""Run ``ingest``, ``embed`` or ``index`` with a progress line, and print what the run did."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, TypeVar

from pipeline.cli.output import put, put_json
from pipeline.support.progress_line import Show
from pipeline.support.text import counted, listed, shown

if TYPE_CHECKING:
    from pipeline.grid.coverage import Coverage
    from pipeline.model import SourceReport, ViewCounts
    from pipeline.run import RunReport

_Ran = TypeVar("_Ran")
MAX_COVERAGES = 10
"""Maximum number of lines about channels and spectra in no window. Files of equal shape share one."""


def run_with_progress(run: Callable[..., _Ran]) -> _Ran:
    """Call ``run`` with a ``progress`` that shows how far it is; return its result."""
    with closing(Show()) as progress:
        return run(progress=progress)


def print_and_exit(report: RunReport, summary: Callable[[RunReport], list[str]], as_json: bool) -> None:
    """Print the report as JSON or as its summary, and exit with its code."""
    if as_json:
        put_json(report.to_json())
    else:
        put("\n".join(summary(report)))
    sys.exit(report.exit_code)


def file_lines(report: RunReport) -> list[str]:
    """Return a line for each file with a fault or a warning; in a dry run, also for each file that would be used."""
    from pipeline.run import RESUMED

    lines = []
    for r in report.reports:
        if r.reason is not None:
            lines.append(f"{r.status:<8}{r.reason:<20} {_fault(r)}")
        elif r.status == "done" and r.message and r.message != RESUMED:
            lines.append(f"{'warning':<28} {_fault(r)}")
        elif r.status == "done" and r.replaces:
            lines.append(f"{'':<28} {shown(r.path)}: replaces {listed(r.replaces)}, the beginning of this scan")
        elif report.dry_run:
            lines.append(f"{r.message:<23} {shown(r.path)}")
    return lines


def view_lines(views: Sequence[ViewCounts]) -> list[str]:
    """Return a line for each averaged view: how many of its windows were searched and kept."""
    return [f"view {name}: {counted(seen, 'window')} seen, {kept:,} kept, {masked:,} masked"
            for name, seen, kept, masked in views]


def coverage_lines(report: RunReport) -> list[str]:
    """Return lines that say how many channels and spectra of the scanned files are in no window, if any are."""
    paths: dict[Coverage, list[str]] = {}
    for r in report.by_status("done"):
        covered = report.coverage.get(r.source_id)
        if covered is not None and covered.samples_skipped:
            paths.setdefault(covered, []).append(r.path)
    lines = in_no_window(report.share_skipped)
    for covered, of in sorted(paths.items(), key=lambda item: -item[0].samples_skipped * len(item[1]))[:MAX_COVERAGES]:
        more = f" and {counted(len(of) - 1, 'file')} more" if len(of) > 1 else ""
        lines.append(f"  {left_out(covered)}: {shown(of[0])}{more}")
    if len(paths) > MAX_COVERAGES:
        others = sum(map(len, paths.values()))
        lines.append(f"  … and likewise in {counted(others, 'file')}: the JSON report lists all of them")
    return lines


def in_no_window(share: float) -> list[str]:
    """Return the line that gives the share of samples in no window; nothing if it is 0."""
    return [f"in no window: {percent(share)} of all samples"] if share else []


def left_out(covered: Coverage) -> str:
    """Return the channels and spectra of a file that are in no window, as text."""
    counts = ((covered.channels_skipped, covered.channels, "channels"),
              (covered.spectra_skipped, covered.spectra, "spectra"))
    return " and ".join(f"{skipped:,} of {total:,} {noun}" for skipped, total, noun in counts if skipped)


def percent(share: float) -> str:
    """Return a share above 0 as a percentage that is not rounded to nothing."""
    return f"{100 * share:.2f} %" if share >= 5e-5 else "less than 0.01 %"


def outcome_counts(report: RunReport) -> str:
    """Count the files by status, and by reason if they have one. In a dry run, count them by what would be done."""
    if report.dry_run:
        counts = Counter(_plan_of(r) for r in sorted(report.reports, key=lambda r: r.reason is not None))
        return ", ".join(f"{count:,} {plan}" for plan, count in counts.items()) + "; nothing was written"
    parts = []
    for status in ("done", "skipped", "failed", "busy"):
        reports = report.by_status(status)
        reasons = Counter(str(r.reason) for r in reports if r.reason is not None)
        codes = ", ".join(f"{count:,} {reason}" for reason, count in sorted(reasons.items()))
        parts.append(f"{len(reports):,} {status}" + (f" ({codes})" if codes else ""))
    return ", ".join(parts)


def _plan_of(report: SourceReport) -> str:
    return report.message if report.reason is None else f"{report.status} ({report.reason})"


def _fault(report: SourceReport) -> str:
    """Return the path and the fault of a file. The path is not repeated if the message begins with it."""
    path, message = shown(report.path), shown(report.message)
    others = [shown(other) for other in report.also_at if shown(other) not in message]
    text = message if message.startswith(path) else f"{path}: {message}"
    return text + (f" (also {', '.join(others)})" if others else "")
