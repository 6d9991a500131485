"""``lookalike upgrade``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.options import corpus_option, json_option
from pipeline.cli.output import put, put_json
from pipeline.text import counted, shown

if TYPE_CHECKING:
    from pipeline.run import Upgrade


@click.command()
@corpus_option
@click.option("--dry-run", is_flag=True, help="Tell what would be done, write nothing.")
@json_option
def upgrade(corpus: Path, dry_run: bool, as_json: bool) -> None:
    """Bring a corpus to the format of this version.

    Replaces the manifest, the identity and corpus.toml where an earlier
    version wrote them in another form, and tells what it changed. Windows,
    vectors and the index stay as they are. No source file is read. After an
    interruption, run it again: it does what is left.
    """
    from pipeline.run import upgrade as run_upgrade

    done = run_upgrade(corpus, dry_run=dry_run)
    if as_json:
        put_json(done.to_json())
    else:
        put("\n".join(lines(done, corpus)))


def lines(done: Upgrade, corpus: Path) -> list[str]:
    """Return what an upgrade changed as a person reads it."""
    from pipeline.store.layout import pasted

    told = [f"{'would change' if done.dry_run else 'changed'}  {shown(change)}" for change in done.changes]
    if done.files_to_read:
        files = counted(done.files_to_read, "file")
        told.append(f"needs reading of {files}, {done.bytes_to_read:,} bytes: "
                    + shown(pasted("lookalike ingest DATA", corpus)))
    if done.dry_run and done.changes:
        told.append("nothing was written")
    return told or [f"{shown(corpus)}: is in the format of this version; nothing to do"]
