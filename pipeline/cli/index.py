"""``lookalike index``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from pipeline.cli.options import corpus_option, json_option, scheduler_option
from pipeline.config import Config
from pipeline.run import index as run_index


@click.command()
@corpus_option
@scheduler_option
@click.option("--exact-below", type=click.IntRange(1), metavar="N", help="Scan fewer vectors than this exactly, without a graph (default 20000).")
@json_option
def index(corpus: Path, scheduler: str | None, exact_below: int | None, as_json: bool) -> None:
    """Build the search graph of what has been ingested.

    Searches need no index: what is in none is scanned exactly. From some ten thousand windows on, a graph is faster.
    """
    config = Config.load(corpus, {"run": {"scheduler": scheduler}, "index": {"exact_below": exact_below}})
    built = run_index(corpus, config=config)
    if as_json:
        click.echo(json.dumps({"segments": [asdict(segment) for segment in built]}, indent=1))
    elif built:
        for segment in built:
            click.echo(f"{segment.id}: {segment.count:,} vectors of {len(segment.source_ids)} sources")
    else:
        click.echo(f"nothing to index: fewer than {config.index.exact_below:,} vectors are in no segment; searches scan them exactly")
