"""``lookalike remove``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.options import corpus_option, json_option
from pipeline.cli.output import put, put_json
from pipeline.support.text import counted, shown

if TYPE_CHECKING:
    from pipeline.run import Removal


@click.command()
@click.argument("sources", nargs=-1, required=True, metavar="SOURCE...")
@corpus_option
@click.option("--undo", is_flag=True, help="Take back what was removed.")
@click.option("--dry-run", is_flag=True, help="Tell what would be done, write nothing.")
@json_option
def remove(sources: tuple[str, ...], corpus: Path, undo: bool, dry_run: bool, as_json: bool) -> None:
    """Take sources out of a corpus.

    SOURCE is an id, the beginning of one, or the name of a file. No search
    finds it any more, and no ingest takes its files in again: they are reported
    as REMOVED. Its windows and vectors stay on disk for a day, for searches
    that are under way, and are deleted by the first ingest, embed, index or
    remove after that. The files themselves are never touched.

    --undo takes a removed source back: at once while its windows are still
    there, else when its file is ingested the next time.
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
    """Tell what became, or would become, of one source."""
    name = f"{one.source_id} ({shown(one.path)})"
    if not undo:
        return f"{'would remove' if dry_run else 'removed'} {name}: {counted(one.windows, 'window')}"
    if dry_run:
        return f"would take back {name}"
    held = counted(one.windows, "window") if one.is_held else "nothing of it is left, ingest its file again"
    return f"taken back {name}: {held}"
