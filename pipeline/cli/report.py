"""Run ``ingest`` or ``embed`` with a progress line, and print what the run did."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING

from pipeline.cli.output import put, put_json
from pipeline.support.progress_line import Show
from pipeline.support.text import shown

if TYPE_CHECKING:
    from pipeline.model import SourceReport
    from pipeline.run import RunReport


def run_with_progress(run: Callable[..., RunReport]) -> RunReport:
    """Call ``run`` with a ``progress`` that shows how far it is; return its report."""
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
    """Return a line for each file with a fault; in a dry run, also for each file that would be used."""
    lines = []
    for r in report.reports:
        if r.reason is not None:
            lines.append(f"{r.status:<8}{r.reason:<20} {_fault(r)}")
        elif report.dry_run:
            lines.append(f"{r.message:<23} {shown(r.path)}")
    return lines


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
