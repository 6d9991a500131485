"""``lookalike nightly``."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.cluster_options import place_options
from pipeline.cli.grouped import command
from pipeline.cli.options import corpus_option, embed_on_option, json_option, views_option
from pipeline.cli.output import put, put_json
from pipeline.cli.report import in_no_window
from pipeline.support.progress_line import Show
from pipeline.support.text import shown

if TYPE_CHECKING:
    from pipeline.nightly import NightReport

SECONDS_PER_UNIT = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def _seconds(ctx: click.Context, option: click.Parameter, value: str) -> float:
    """Return the seconds of a duration: a number and its unit."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", value)
    if match is None and re.fullmatch(r"\d+(\.\d+)?", value):
        units = " or ".join(f"{value}{unit}" for unit in SECONDS_PER_UNIT)
        raise click.BadParameter(f"{value!r} has no unit; write {units}")
    if match is None:
        raise click.BadParameter(f"{value!r} is not a duration; give a number with a unit, such as 90s, 10m, 2h or 1d")
    return float(match[1]) * SECONDS_PER_UNIT[match[2]]


@command()
@click.argument("data", nargs=-1, required=True, type=click.Path(path_type=Path))
@corpus_option
@click.option("--report-dir", type=click.Path(path_type=Path), metavar="DIR",
              help="Folder of the reports. Default: CORPUS-reports, beside the corpus.")
@click.option("--min-age", callback=_seconds, default="10m", show_default=True, metavar="TIME",
              help="Skip files that changed within this time; the next night takes them. TIME is a number with s, "
                   "m, h or d.")
@click.option("--retry", is_flag=True, help="Try every file that failed before, whether or not it is due.")
@views_option
@place_options
@embed_on_option
@json_option
def nightly(
    data: tuple[Path, ...], corpus: Path, report_dir: Path | None, min_age: float, retry: bool, as_json: bool,
    views: list[str] | None, embed_on: str | None, place: Mapping[str, Any],
) -> None:
    """Ingest new files, index, verify, and write a report.

    DATA are filterbank files, or folders that are searched for such files.
    Each run ingests the new files, indexes them, verifies a share of the corpus,
    and writes a report as HTML and JSON. The report lists what was done, which
    files failed and since when, and the groups of new windows that resemble no
    window of earlier nights.

    A file that failed is tried again after 1, 2, 4, 8 ... nights. A file that
    fails too often is not tried again until it changes; every report lists it.
    The table [nightly] of corpus.toml sets these limits.

    The exit code is 3 if a file failed this night or damage was found; files,
    links and folders that failed in earlier nights do not count. It is 2 if a
    path of DATA is missing, for example because its disk is not mounted; the
    night goes on without it. It is 4 if another run holds the lock of the corpus.
    A DATA folder without a filterbank file, a broken link without the name of a
    filterbank file, and a file with such a name that cannot be read as one, are
    warnings.

    A new corpus takes its settings from corpus.toml in its folder, and its views
    from --views. To set more by flags, create the corpus with lookalike ingest.

    \b
    Example:
      lookalike nightly /mnt/blpd7 --corpus corpus
    """
    from pipeline.config import Config
    from pipeline.nightly import nightly as run_nightly

    config = Config.load(corpus, {"scan": {"views": views}, "run": {**place, "embed_on": embed_on}})
    with closing(Show()) as progress:
        report = run_nightly(data, corpus, report_dir=report_dir, min_age_s=min_age, retry=retry, config=config,
                             progress=progress)
    if as_json:
        put_json(report.to_json())
    else:
        put("\n".join(_summary(report)))
    sys.exit(report.exit_code)


def _summary(report: NightReport) -> list[str]:
    """Return the headline, what failed or is missing this night, and the path of the report."""
    lines = [report.headline]
    lines += in_no_window(report.ingest.get("share_skipped", 0.0))
    lines += [f"{'warning':<28} {shown(message)}" for message in report.partly_read]
    lines += [f"{step.name} failed: {shown(step.message)}" for step in report.steps if step.status == "failed"]
    lines += [f"{one.status:<8}{one.reason:<20} {shown(one.message)}" for one in report.wrong if one.tonight]
    lines += [f"{'missing':<28} {shown(path)}: is not there; is its disk mounted?" for path in report.missing]
    lines += [f"{'warning':<28} {shown(message)}" for message in report.warnings]
    return [*lines, f"report: {shown(report.files['html'])}"]
