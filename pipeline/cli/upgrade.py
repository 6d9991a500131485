"""``lookalike upgrade``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.cli.grouped import command
from pipeline.cli.options import corpus_option, dry_run_option, json_option
from pipeline.cli.output import put, put_json
from pipeline.support.text import counted, shown

if TYPE_CHECKING:
    from pipeline.run import Upgrade


@command()
@corpus_option
@dry_run_option
@json_option
def upgrade(corpus: Path, dry_run: bool, as_json: bool) -> None:
    """Convert a corpus to the format of this version.

    Rewrites the manifest, the identity and corpus.toml if an earlier version
    wrote them in another format, and prints what it changed. Windows, vectors
    and the index stay unchanged: what an earlier version stored is read as it
    is. No source file is read. After an interruption, run the command again: it
    does the rest.

    \b
    Example:
      lookalike upgrade --corpus corpus --dry-run
    """
    from pipeline.run import upgrade as run_upgrade

    done = run_upgrade(corpus, dry_run=dry_run)
    if as_json:
        put_json(done.to_json())
    else:
        put("\n".join(lines(done, corpus)))


def lines(done: Upgrade, corpus: Path) -> list[str]:
    """Return what an upgrade changed, as lines of text."""
    from pipeline.store import pasted

    text = [f"{'would change' if done.dry_run else 'changed'}  {shown(change)}" for change in done.changes]
    if done.files_to_read:
        files = counted(done.files_to_read, "file")
        text.append(f"{files} must be read again, {done.bytes_to_read:,} bytes: "
                    + shown(pasted("lookalike ingest DATA", corpus)))
    if done.dry_run and done.changes:
        text.append("nothing was written")
    if not text:
        text = [f"{shown(corpus)}: already has the format of this version; nothing to do"]
    if done.groups_of_format_1:
        groups = counted(done.groups_of_format_1, "group")
        text.append(f"{groups} of windows or vectors stay in the format of an earlier version, and are read as they "
                    "are")
    return text
