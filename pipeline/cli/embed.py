"""``lookalike embed``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.grouped import command
from pipeline.cli.options import corpus_option, json_option, run_options
from pipeline.cli.report import file_lines, outcome_counts, print_and_exit, run_with_progress
from pipeline.support.progress_line import duration
from pipeline.support.text import counted

if TYPE_CHECKING:
    from pipeline.run import RunReport


@command()
@corpus_option
@click.option("--encoder", metavar="NAME",
              help="Encoder that computes the vectors. Default: the encoder of the corpus.")
@run_options
@json_option
def embed(
    corpus: Path, encoder: str | None, weights: Path | None, precision: str | None, place: Mapping[str, Any],
    embed_on: str | None, dry_run: bool, as_json: bool,
) -> None:
    """Compute another encoder's vectors for a corpus.

    The vectors are computed from the stored windows; the original files are
    not needed. Vectors of other encoders, weights and precisions stay. Choose
    among them with lookalike search --encoder.

    Windows that already have such a vector are skipped, and an interrupted run
    continues where it stopped. Run the command again after each later ingest.

    \b
    Example:
      lookalike embed --corpus corpus --encoder resnet50 --weights resnet50.h5
    """
    from pipeline.config import Config
    from pipeline.run import embed as run_embed

    config = Config.load(corpus, {"run": {**place, "embed_on": embed_on}})
    report = run_with_progress(partial(run_embed, corpus, encoder=encoder, weights=weights or "", precision=precision,
                               config=config, dry_run=dry_run))
    print_and_exit(report, summary, as_json)


def summary(report: RunReport) -> list[str]:
    """Return the counts and times of a run, and a line for each source with a fault."""
    from pipeline.run import NO_SIGNAL

    of = f", {report.encoder}" if report.encoder else ""
    lines = [f"{counted(len(report.reports), 'source')}{of}: {outcome_counts(report)}"]
    if report.windows_embedded:
        seconds = max(report.elapsed_s, 1e-9)
        lines += [
            f"{counted(report.windows_embedded, 'window')} embedded in {duration(seconds)}: "
            f"{report.windows_embedded / seconds:,.0f} windows/s",
            f"seconds in tasks: embed {report.timing.embed_s:.1f}, write {report.timing.write_s:.1f}",
        ]
    without = sum(r.message == NO_SIGNAL for r in report.reports)
    if without and without == len(report.reports):
        lines.append("the corpus holds no signal: there is nothing to embed, and nothing that a search can find")
    elif without:
        lines.append(f"{counted(without, 'source')} without a signal: nothing to embed")
    return [*lines, *file_lines(report)]
