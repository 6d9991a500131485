"""``lookalike embed``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.options import corpus_option, json_option, run_options
from pipeline.cli.progress import duration
from pipeline.cli.report import conclude, each, outcomes, shown_run
from pipeline.support.text import counted

if TYPE_CHECKING:
    from pipeline.run import RunReport


@click.command()
@corpus_option
@click.option("--encoder", metavar="NAME", help="Encoder of the vectors; default: the corpus' own.")
@run_options
@json_option
def embed(
    corpus: Path, encoder: str | None, weights: Path | None, precision: str | None, place: Mapping[str, Any],
    serial: bool, embed_on: str | None, dry_run: bool, as_json: bool,
) -> None:
    """Make another encoder's vectors of what a corpus holds.

    They are made from the stored windows: the files these came from need not
    be there. Vectors of other encoders, weights and precisions stay, and search
    --encoder chooses among them. What is already embedded is left alone; an
    interrupted run goes on where it was. After later ingests, run it again.
    """
    from pipeline.config import Config
    from pipeline.run import embed as run_embed

    config = Config.load(corpus, {"run": {**place, "embed_on": embed_on}})
    report = shown_run(partial(run_embed, corpus, encoder=encoder, weights=weights or "", precision=precision,
                               config=config, serial=serial, dry_run=dry_run))
    conclude(report, summary, as_json)


def summary(report: RunReport) -> list[str]:
    """Tell in a few lines what a run did, and what is wrong with which source."""
    of = f", {report.encoder}" if report.encoder else ""
    lines = [f"{counted(len(report.reports), 'source')}{of}: {outcomes(report)}"]
    if report.windows_embedded:
        seconds = max(report.elapsed_s, 1e-9)
        lines += [
            f"{counted(report.windows_embedded, 'window')} embedded in {duration(seconds)}: "
            f"{report.windows_embedded / seconds:,.0f} windows/s",
            f"seconds in tasks: embed {report.timing.embed_s:.1f}, write {report.timing.write_s:.1f}",
        ]
    return [*lines, *each(report)]
