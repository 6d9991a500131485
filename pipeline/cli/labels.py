"""``lookalike labels``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.grouped import command
from pipeline.cli.options import corpus_option, json_option
from pipeline.cli.output import put, put_json
from pipeline.support.text import counted, csv_text, shown

if TYPE_CHECKING:
    from pipeline.labels import Label
    from pipeline.search import CorpusLabels


@command()
@corpus_option
@click.option("--text", metavar="TEXT", help="Only labels with this text. Upper and lower case are the same.")
@click.option("--import", "table", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.csv",
              help="Add the labels of a CSV file with the columns that --csv prints.")
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values.")
def labels(corpus: Path, text: str | None, table: Path | None, as_json: bool, as_csv: bool) -> None:
    """List, export or import the labels of a corpus.

    Labels that were undone are not listed. Labels of a source that was removed from
    the corpus stay, and count again when the source is back.

    \b
    Example:
      lookalike labels --csv > labels.csv
    """
    from pipeline.labels import LABEL_COLUMNS
    from pipeline.search import open_corpus

    if as_json and as_csv:
        raise click.UsageError("choose one of --json and --csv")
    if table is not None and (as_json or as_csv or text is not None):
        raise click.UsageError("--import goes with none of --text, --json and --csv")
    held = open_corpus(corpus).labels
    if table is not None:
        added = held.import_csv(table)
        put(f"{counted(len(added), 'new label')} of {shown(table)}")
        return
    every = held.every()
    chosen = every if text is None else every.with_text(text)
    if as_json:
        put_json({"labels": [one.to_json() for one in chosen]})
    elif as_csv:
        put(csv_text(LABEL_COLUMNS, (one.to_json() for one in chosen)), newline=False)
    else:
        put("\n".join(map(shown, lines(chosen, held))))


def lines(chosen: Sequence[Label], held: CorpusLabels) -> list[str]:
    """Return labels as aligned lines, one each, below a line that counts them."""
    elsewhere = sum(not held.is_held(label) for label in chosen)
    first = counted(len(chosen), "label")
    if elsewhere:
        first += f", {elsewhere:,} of sources that the corpus does not hold"
    if not chosen:
        return [first]
    width, of_who, of_id = (max(len(text) for text in (head, *texts)) for head, texts in (
        ("label", [label.text for label in chosen]), ("by", [label.who for label in chosen]),
        ("id", [label.id for label in chosen])))
    head = f"{'label':<{width}}  {'MHz':^24} {'MJD':>12}  {'when':<20}  {'by':<{of_who}}  {'id':<{of_id}}  window"
    return [first, head, *(
        f"{label.text:<{width}}  {f'{label.f_start_mhz:.6f}–{label.f_stop_mhz:.6f}':^24} {label.mjd:12.5f}  "
        f"{label.time:<20}  {label.who:<{of_who}}  {label.id:<{of_id}}  {held.name_of(label)}" for label in chosen)]
