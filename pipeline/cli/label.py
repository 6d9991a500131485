"""``lookalike label``."""

from __future__ import annotations

from pathlib import Path

import click

from pipeline.cli.grouped import command
from pipeline.cli.options import corpus_option, json_option
from pipeline.cli.output import put, put_json
from pipeline.support.text import counted, shown


@command()
@corpus_option
@click.argument("windows", nargs=-1, metavar="SOURCE/NUMBER...")
@click.option("--as", "text", metavar="TEXT", help="The label: up to 200 characters.")
@click.option("--by", "who", metavar="NAME", help="Who gives the label. Default: your user name.")
@click.option("--undo", is_flag=True,
              help="Undo labels. Give their ids instead of windows, or nothing for those that you gave last.")
@json_option
def label(corpus: Path, windows: tuple[str, ...], text: str | None, who: str | None, undo: bool, as_json: bool) -> None:
    """Label windows of a corpus, or undo that.

    Labels are your own data. They lie in the folder CORPUS-labels beside the
    corpus, and no other command changes them. A label belongs to a place in a scan,
    so it stays valid with another encoder or other windows. Hits show the labels of
    their windows, and search --like label:TEXT looks for what all windows with a
    label have in common.

    \b
    Example:
      lookalike label GBT_57436_51432_HIP77257/3015 --as comb
      lookalike label --undo
    """
    from pipeline.search import open_corpus

    if undo == (text is not None):
        raise click.UsageError("give one of --as and --undo")
    if not undo and not windows:
        raise click.UsageError("give the windows to label, each as SOURCE/NUMBER")
    labels = open_corpus(corpus).labels
    if undo or text is None:
        undone = labels.undo(windows, who)
        if as_json:
            put_json({"id": undone.id, "undone": list(undone.of)})
        else:
            put(f"undone; lookalike label --undo {undone.id} takes this back")
        return
    added = labels.add(windows, text, who)
    if as_json:
        put_json({"labels": [one.to_json() for one in added]})
        return
    before = len(set(windows)) - len(added)
    put(shown(f"{counted(len(added), 'window')} labelled {text.strip()}"
              f"{f'; {before:,} had this label before' if before else ''}"))
