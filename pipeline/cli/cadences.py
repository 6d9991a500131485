"""``lookalike cadences``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.grouped import command
from pipeline.cli.options import corpus_option, json_option
from pipeline.cli.output import put, put_json
from pipeline.support.text import counted, csv_text, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pipeline.catalogue import Session


@command()
@corpus_option
@json_option
@click.option("--csv", "as_csv", is_flag=True,
              help="Print comma-separated values, which you can correct and save beside the corpus.")
def cadences(corpus: Path, as_json: bool, as_csv: bool) -> None:
    """List which scans belong to one session, and their pointings.

    Scans of one telescope and resolution belong to a session if their bands have at
    least half in common, and each begins at most 15 minutes after the one before
    it has ended. Two scans have the same pointing if the names of their targets
    agree, and their positions to 0.2 degrees. search --on-off compares the
    pointings of a session.

    To correct this, save the output of --csv as CORPUS-cadences.csv beside the
    corpus, and change its columns session and pointing. A scan without a session
    is compared with none. Scans that are not in the file follow the rule.

    \b
    Example:
      lookalike cadences --corpus corpus
    """
    from pipeline.search import open_corpus

    if as_json and as_csv:
        raise click.UsageError("choose one of --json and --csv")
    sessions = open_corpus(corpus).sessions()
    if as_json:
        put_json({"sessions": [{"session": session.name, "scans": _records(session)} for session in sessions]})
    elif as_csv:
        put(csv_text(("scan", "session", "pointing", "begin_mjd", "end_mjd"),
                     (record for session in sessions for record in _records(session))), newline=False)
    else:
        put("\n".join(map(shown, lines(sessions))))


def lines(sessions: Sequence[Session]) -> list[str]:
    """Return sessions as lines of text, one for each scan."""
    several = sum(session.is_cadence for session in sessions)
    out = [f"{counted(len(sessions), 'session')}, {several:,} with more than one pointing"]
    for session in sessions:
        out.append(f"{session.name}: {counted(len(session.scans), 'scan')}, "
                   f"{counted(len(session.pointings), 'pointing')}")
        out += [f"  {scan.begin_mjd:.5f}  {scan.pointing}  {scan.scan_id}" for scan in session.scans]
    return out


def _records(session: Session) -> list[dict[str, Any]]:
    """Return one flat record for each scan of a session."""
    return [{"scan": scan.scan_id, "session": session.name, "pointing": scan.pointing,
             "begin_mjd": round(scan.begin_mjd, 9), "end_mjd": round(scan.end_mjd, 9)} for scan in session.scans]
