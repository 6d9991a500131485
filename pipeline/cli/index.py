"""``lookalike index``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from pipeline.cli.cluster_options import cluster_options
from pipeline.cli.options import corpus_option, json_option
from pipeline.cli.output import put, put_json
from pipeline.config import Config, IndexConfig
from pipeline.support.text import counted

DEFAULT = IndexConfig()
HELP = f"""Build the search graph of what has been ingested.

Searches need no index: what is in none is scanned exactly. From {DEFAULT.exact_below:,}
signals on, a graph is faster. Building one takes a minute, and more from a
million signals on. Run it after every ingest: what has been added becomes a
graph of its own, and small graphs are joined to larger ones now and then, so
that there are never many; from {DEFAULT.routed_from:,} signals on, they become
one that is divided into cells. It is built in this process, or on the cluster
that is named.
"""


@click.command(help=HELP)
@corpus_option
@cluster_options
@click.option("--exact-below", type=click.IntRange(1), metavar="N",
              help=f"Scan fewer vectors than this exactly, without a graph (default {DEFAULT.exact_below}).")
@click.option("--compact/--no-compact", default=None,
              help="Join small segments and build anew those of which much was removed (default: compact).")
@click.option("--routed-from", type=click.IntRange(1), metavar="N",
              help="Divide so many vectors into cells, of which a search asks those near its query "
                   f"(default {DEFAULT.routed_from}).")
@json_option
def index(
    corpus: Path, place: Mapping[str, Any], exact_below: int | None, compact: bool | None, routed_from: int | None,
    as_json: bool
) -> None:
    """Build what the help says and tell of each new segment."""
    from pipeline.run import index as run_index

    config = Config.load(corpus, {"run": place,
                                  "index": {"exact_below": exact_below, "compact": compact,
                                            "routed_from": routed_from}})
    built = run_index(corpus, config=config)
    if as_json:
        put_json({"segments": [asdict(segment) for segment in built]})
        return
    for segment in built:
        cells = f" in {counted(len(segment.pieces), 'cell')}" if segment.cells else ""
        put(f"{segment.id}: {counted(segment.count, 'vector')} of {counted(len(segment.source_ids), 'source')}{cells}")
    if not built:
        put(f"nothing to index: a segment begins with {config.index.exact_below:,} vectors of one encoder that are in "
            "none yet; fewer are scanned exactly")
