"""The option ``--hits`` of ``lookalike search``: all rows of a hit table, and what each gives."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.output import name_unwritable, put, put_json, remark
from pipeline.errors import QueryError
from pipeline.support.progress_line import Show
from pipeline.support.text import counted, csv_text, shown

if TYPE_CHECKING:
    from pipeline.hit_tables import HitTable
    from pipeline.search import Corpus, RowAnswer

Command = Callable[..., Any]
NOT_WITH_HITS = ("f_start_mhz", "f_stop_mhz", "t_start_s", "t_stop_s", "window", "power", "signal", "view")
"""Parameters of a search that each row of a table has of its own, or that do not go with a table."""


@dataclass(frozen=True, slots=True)
class HitsAsked:
    """The table that a user gives, and where its page goes."""

    path: Path
    page: Path | None


def hits_options(command: Command) -> Command:
    """Add the options to a command, which gets them as ``hits``: a :class:`HitsAsked`, or None without a table."""
    @wraps(command)
    def with_hits(*, hits: Path | None, page: Path | None, **values: Any) -> Any:
        if hits is None and page is not None:
            raise click.UsageError("--html goes with --hits; for another search, give --out OUT.html")
        return command(hits=None if hits is None else HitsAsked(hits, page), **values)

    options = (
        click.option("--hits", type=click.Path(path_type=Path), metavar="FILE",
                     help="Search for all rows of a hit table together, and print a line for each: .dat of turboSETI, "
                          "seticore or bliss, .hits of seticore, CSV of turboSETI's events or of hyperseti. Its "
                          "content says of which kind it is. --file names the file of all rows; by default, it is "
                          "looked for beside the table and in the corpus."),
        click.option("--html", "page", type=click.Path(path_type=Path, dir_okay=False), metavar="OUT.html",
                     help="With --hits, also write a page with all rows and their hits."),
    )
    completed: Command = with_hits
    for option in reversed(options):
        completed = option(completed)
    return completed


def check_hits(asked: Mapping[str, Any], flags: Mapping[str, str]) -> None:
    """Raise ``UsageError`` for an option that does not go with a table."""
    for name in NOT_WITH_HITS:
        if asked.get(name) is not None:
            raise click.UsageError(f"{flags.get(name, name)} does not go with --hits")


def print_hits(corpus: Corpus, hits: HitsAsked, asked: Mapping[str, Any], *, as_json: bool, as_csv: bool) -> None:
    """Search for all rows of a table, and print what each gives."""
    from pipeline.hit_tables import read_hit_table

    table = read_hit_table(hits.path)
    how = dict(asked)
    file = how.pop("file")
    with closing(Show()) as show:
        answers = list(corpus.search_rows(
            table, file=file, folder=hits.path.absolute().parent, step=_Steps(show), **how))
    if file is None and any(one.row and one.scan is None and one.result is None for one in answers):
        remark("note: the scan of a row was not found; give its file with --file")
    if hits.page is not None:
        from pipeline.search import page_of_rows

        with name_unwritable(hits.page):
            hits.page.write_text(page_of_rows(table, answers), encoding="utf-8")
        remark(f"page: {shown(hits.page)}")
    if as_json:
        put_json(rows_to_json(table, answers))
    elif as_csv:
        from pipeline.search import ROW_COLUMNS

        put(csv_text(ROW_COLUMNS, (one.to_json(hits=False) for one in answers)), newline=False)
    else:
        put("\n".join(map(shown, lines_of_rows(table, answers))))
    if answers and all(one.result is None for one in answers):
        raise QueryError(f"{hits.path}: none of its {counted(len(answers), 'row')} could be searched for; "
                         f"row {answers[0].number}: {answers[0].reason}")


def rows_to_json(table: HitTable, answers: Sequence[RowAnswer]) -> dict[str, Any]:
    """Return the answers to a table as a plain dictionary."""
    searched = next((one.result for one in answers if one.result is not None), None)
    return {"table": table.name, "kind": table.kind, "corpus": dict(searched.corpus) if searched else None,
            "encoder": searched.encoder if searched else None, "rows": [one.to_json() for one in answers]}


def lines_of_rows(table: HitTable, answers: Sequence[RowAnswer]) -> Iterator[str]:
    """Yield what was searched, then a line for each row. Rows that were not searched for come last, with the reason."""
    from pipeline.search import words_of_rows

    yield from words_of_rows(table, answers)
    rows = [one for one in answers if one.result is not None]
    has_states = any(one.on_off for one in rows)
    heading = f"{'ON/OFF':<10} " if has_states else ""
    if rows:
        yield (f"{'row':>5} {'MHz':>12} {'Hz/s':>7} {'SNR':>7}  {'look-alikes':<24} {'best (by chance)':<17} "
               f"{heading}best hit; family; known interference")
    for one in rows:
        row, best = one.row, one.result[0] if one.result else None
        assert row is not None
        place = f"{best.source_id}/{best.window.number}" if best else ""
        snr = "" if row.snr is None else f"{row.snr:.1f}"
        state = f"{one.on_off.state if one.on_off else '':<10} " if has_states else ""
        family = f"family {one.words_of_family}" if one.family[0] else ""
        last = "; ".join(filter(None, [place, family, ", ".join(one.known)]))
        yield (f"{one.number:>5} {row.f_mhz:>12.6f} {row.drift_hz_per_s:>7.3f} {snr:>7}  {one.words:<24} "
               f"{one.brief_of_best:<17} {state}{last}")
    yield from (f"row {one.number} is {one.words}" for one in answers if one.result is None)


@dataclass(slots=True)
class _Steps:
    """Shows the progress of the searches for all rows."""

    show: Show
    began_s: float = field(default_factory=time.monotonic)

    def __call__(self, what: str, done: int, total: int) -> None:
        self.show(_Snapshot(what, done, total, time.monotonic() - self.began_s))


@dataclass(frozen=True, slots=True)
class _Snapshot:
    stage: str
    files_done: int
    files: int
    elapsed_s: float
    windows_seen: int = 0
    windows_kept: int = 0
    windows_embedded: int = 0
    bytes_decoded: int = 0
    left_s: float | None = None
    note: str = ""

    @property
    def done(self) -> tuple[int, int]:
        return self.files_done, self.files
