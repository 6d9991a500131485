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
from pipeline.cli.options import corpus_option, json_option
from pipeline.cli.output import put, put_json
from pipeline.cli.progress import Show
from pipeline.support.text import shown

if TYPE_CHECKING:
    from pipeline.nightly import NightReport

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def _seconds(ctx: click.Context, option: click.Parameter, value: str) -> float:
    """Read a duration: a number and its unit."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", value)
    if match is None:
        raise click.BadParameter(f"{value!r} is no duration; give a number and a unit, such as 90s, 10m, 2h or 1d")
    return float(match[1]) * UNITS[match[2]]


@click.command()
@click.argument("data", nargs=-1, required=True, type=click.Path(path_type=Path))
@corpus_option
@click.option("--report-dir", type=click.Path(path_type=Path), metavar="DIR",
              help="Folder of the reports (default: beside the corpus, CORPUS-reports).")
@click.option("--min-age", callback=_seconds, default="10m", show_default=True, metavar="TIME",
              help="Leave files that have changed since for the next night.")
@click.option("--retry", is_flag=True, help="Try all files that failed before, whether they are due or not.")
@place_options
@click.option("--embed-on", type=click.Choice(["auto", "gpu", "cpu"]),
              help="Workers that embed; auto: those with a GPU, if any.")
@json_option
def nightly(
    data: tuple[Path, ...], corpus: Path, report_dir: Path | None, min_age: float, retry: bool, as_json: bool,
    embed_on: str | None, place: Mapping[str, Any], serial: bool,
) -> None:
    """Take in what is new and report in the morning.

    Ingests what is new in DATA, files and folders, indexes it, verifies a
    share of the corpus, and writes a report (HTML and JSON, by date and as
    latest): what was done, what failed and since when, and which clusters of
    the new windows resemble nothing of earlier nights. A file that failed is
    tried again after 1, 2, 4, 8 ... nights; what fails too often is left alone
    until it changes ([nightly] in corpus.toml), and listed every night. Exits
    with 3 if anything failed this night or was found damaged (files that failed
    only in earlier nights do not count), with 4 if another run is at it.

    A new corpus is made as corpus.toml in its folder says; or make it with
    lookalike ingest and its flags.
    """
    from pipeline.config import Config
    from pipeline.nightly import nightly as run_nightly

    config = Config.load(corpus, {"run": {**place, "embed_on": embed_on}})
    with closing(Show()) as progress:
        report = run_nightly(data, corpus, report_dir=report_dir, min_age_s=min_age, retry=retry, config=config,
                             serial=serial, listener=progress)
    if as_json:
        put_json(report.to_json())
    else:
        put("\n".join(_summary(report)))
    sys.exit(report.exit_code)


def _summary(report: NightReport) -> list[str]:
    """Tell the night in a few lines, and what is wrong with which file tonight."""
    lines = [report.headline]
    lines += [f"{step.name} failed: {shown(step.message)}" for step in report.steps if step.status == "failed"]
    lines += [f"{one.status:<8}{one.reason:<20} {shown(one.message)}" for one in report.wrong if one.tonight]
    return [*lines, f"report: {shown(report.files['html'])}"]
