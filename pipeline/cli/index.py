"""``lookalike index``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import click

from pipeline.cli.cluster_options import cluster_options
from pipeline.cli.grouped import command
from pipeline.cli.options import corpus_option, json_option
from pipeline.cli.output import put, put_json
from pipeline.cli.report import run_with_progress
from pipeline.config import Config, IndexConfig
from pipeline.support.text import counted

DEFAULT = IndexConfig()
HELP = f"""Build the search index of a corpus.

Run it after every ingest. A search also works without an index: it then
compares the query with every vector. From {DEFAULT.exact_below:,} windows on, an index is
faster. Building it takes about a minute; with more than a million windows, longer.

The index consists of segments. New vectors become a new segment with a graph
of its own. If they are too few for a graph, they become a segment without one,
and a search compares all of its vectors. Small segments are merged from time to time, so there are never
many. From {DEFAULT.routed_from:,} windows on, the segments are rebuilt into one that is
divided into cells; a search reads only the cells near its query.

The index is built in this process, or on the cluster that you name.

\b
Example:
  lookalike index --corpus corpus
"""


@command(help=HELP, groups={"Segments": ("--exact-below", "--routed-from", "--compact")})
@corpus_option
@cluster_options
@click.option("--exact-below", type=click.IntRange(1), metavar="N",
              help="Number of vectors from which a segment gets a graph. Fewer vectors are compared exactly. Default: "
                   f"{DEFAULT.exact_below:,}.")
@click.option("--compact/--no-compact", default=None,
              help="Merge small segments, and rebuild segments that contain many removed vectors. Default: --compact.")
@click.option("--routed-from", type=click.IntRange(1), metavar="N",
              help="Number of vectors from which the index is divided into cells. Default: "
                   f"{DEFAULT.routed_from:,}.")
@json_option
def index(
    corpus: Path, place: Mapping[str, Any], exact_below: int | None, compact: bool | None, routed_from: int | None,
    as_json: bool
) -> None:
    """Build the segments that the index lacks, and print a line for each."""
    from pipeline.run import index as run_index

    config = Config.load(corpus, {"run": place,
                                  "index": {"exact_below": exact_below, "compact": compact,
                                            "routed_from": routed_from}})
    built = run_with_progress(partial(run_index, corpus, config=config))
    if as_json:
        put_json({"segments": [asdict(segment) for segment in built]})
        return
    for segment in built:
        cells = f" in {counted(len(segment.pieces), 'cell')}" if segment.cells else ""
        flat = ", without a graph" if segment.is_flat else ""
        put(f"{segment.id}: {counted(segment.count, 'vector')} of {counted(len(segment.source_ids), 'source')}{cells}"
            f"{flat}")
    if not built:
        put("nothing to index: all vectors are in segments")
