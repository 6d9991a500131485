"""``lookalike remove``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.grouped import command
from pipeline.cli.options import corpus_option, dry_run_option, json_option
from pipeline.cli.output import put, put_json
from pipeline.support.text import counted, shown

if TYPE_CHECKING:
    from pipeline.run import Removal


@command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@corpus_option
@click.option("--undo", is_flag=True, help="Restore removed sources.")
@dry_run_option
@json_option
def remove(sources: tuple[str, ...], corpus: Path, undo: bool, dry_run: bool, as_json: bool) -> None:
    """Remove sources from a corpus, or restore them.

    SOURCE is a source id, the beginning of one, or the name of a file. Searches
    no longer find a removed source. Ingest skips its files and reports them as
    REMOVED. The original files are never changed.

    The windows and vectors of a removed source stay on disk for at least one day,
    because searches may still be reading them. Two later runs of ingest, embed,
    index, nightly or remove are needed to delete them, each at least a day after
    the step before. If one run were enough, they could be deleted too early when
    the clock of this machine is wrong.

    --undo restores a removed source. It is back at once if its windows are still
    on disk. Otherwise the next ingest of its file brings it back.

    \b
    Example:
      lookalike remove GBT_59000_10000_DEMO1 --corpus demo/corpus
      lookalike remove GBT_59000_10000_DEMO1 --corpus demo/corpus --undo
    """
    from pipeline.run import remove as run_remove

    done = run_remove(sources, corpus, undo=undo, dry_run=dry_run)
    if as_json:
        put_json({"undo": undo, "dry_run": dry_run, "sources": [one.to_json() for one in done]})
        return
    for one in done:
        put(line(one, undo, dry_run))
    if dry_run:
        put("nothing was written")


def line(one: Removal, undo: bool, dry_run: bool) -> str:
    """Return what was done, or would be done, with one source."""
    name = f"{one.source_id} ({shown(one.path)})"
    if not undo:
        return f"{'would remove' if dry_run else 'removed'} {name}: {counted(one.windows, 'window')}"
    if dry_run:
        return f"would restore {name}"
    held = counted(one.windows, "window") if one.is_held else "its windows are deleted; ingest its file again"
    of = "".join(f"; replaces {gone}, the beginning of this scan" for gone in one.replaces)
    return f"restored {name}: {held}{of}"
