"""``lookalike occurrence``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.cluster_options import cluster_options
from pipeline.cli.example_options import FLAGS as EXAMPLE_FLAGS
from pipeline.cli.filters import filter_options
from pipeline.cli.grouped import GroupedCommand, command
from pipeline.cli.options import corpus_option, json_option
from pipeline.cli.output import put, put_json, remark
from pipeline.cli.patterns import PATTERN_FLAGS, PATTERN_PARAMETERS, pattern_options, with_arrays
from pipeline.cli.picture import FLAGS as PICTURE_FLAGS
from pipeline.cli.picture import PlotQuery, picture_options
from pipeline.cli.search import corpus_here, corpus_on_cluster, flags_in_messages
from pipeline.cli.search import search as search_command
from pipeline.errors import QueryError
from pipeline.search.filter_table import FILTERS
from pipeline.support.text import csv_text, short_number, shown

if TYPE_CHECKING:
    from pipeline.occurrence import Occurrence, Row

_AXES = ("frequency", "date", "hour", "local hour", "target")
assert isinstance(search_command, GroupedCommand)
_COMPARE = search_command.groups["How to compare"]
_LIMITS = ("--expected-below", "--min-score")
_FLAGS = {*EXAMPLE_FLAGS, *_COMPARE, *_LIMITS}


def _search_options(function: Any) -> Any:
    """Add the options of ``search`` that give examples and say how to compare."""
    for param in reversed([param for param in search_command.params if _FLAGS.intersection(param.opts)]):
        function.__click_params__ = [*getattr(function, "__click_params__", []), param]
    return function


@command(groups={
    "Query": (*PATTERN_FLAGS, *EXAMPLE_FLAGS),
    "Query from a picture": PICTURE_FLAGS,
    "How to compare": _COMPARE,
    "Which windows count": (*_LIMITS, "--with-query", *(row.flag for row in FILTERS.values())),
    "How to count": ("--by", "--bin-mhz", "--bin-days", "--emitter-khz"),
})
@corpus_option
@pattern_options
@_search_options
@picture_options
@filter_options
@click.option("--with-query", is_flag=True,
              help="Also count the query itself, and the scan that it is from. By default, neither counts: the query "
                   "was chosen because it is there.")
@click.option("--by", multiple=True, type=click.Choice(_AXES), metavar="AXIS",
              help=f"Count along this axis: {', '.join(_AXES)}. Hours are UTC; local hours are mean solar time at the "
                   "telescope. May be repeated. Default: all but local hour.")
@click.option("--bin-mhz", type=float, metavar="MHZ",
              help="Width of the bins of frequency. Default: a round number that gives at most 24 bins.")
@click.option("--bin-days", type=click.IntRange(1), metavar="DAYS",
              help="Width of the bins of date. Default: a round number that gives at most 24 bins.")
@click.option("--emitter-khz", type=float, default=10.0, show_default=True, metavar="KHZ",
              help="Neighbouring windows of a scan are one emitter if the gap between them is at most this, or "
                   "at most as wide as a window if that is more.")
@cluster_options
@json_option
@click.option("--csv", "as_csv", is_flag=True,
              help="Print comma-separated values: a row for each bin, and first one for all that was searched.")
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), metavar="OUT.png",
              help="Draw the rates with their intervals to this file.")
def occurrence(
    corpus: Path, place: Mapping[str, Any], by: tuple[Any, ...], bin_mhz: float | None, bin_days: int | None,
    emitter_khz: float, with_query: bool, picture: PlotQuery | None, as_json: bool, as_csv: bool, plot: Path | None,
    **asked: Any,
) -> None:
    """Count how often, when and where a pattern occurs.

    The pattern is given as for search. The hits that count are the convincing ones,
    or those that --expected-below and --min-score let pass. Without a pattern, all
    windows count that hold a signal.

    Counts are scans that show the pattern, and emitters: windows of a scan that lie
    close together in frequency. They are divided by what was searched: scans, and
    bandwidth × time in MHz h. Masked windows are not counted as searched. Intervals
    are of 95 % and exact: binomial for the share of scans, Poisson for the rate. Where
    nothing was searched, the table says "not observed".

    If nothing was seen, the first line says in how many windows, and how large the
    rate may be. The next one says how strong a signal must have been to be kept.

    \b
    Example:
      lookalike occurrence --file scan.h5 --f-start 1531 --f-stop 1531.1 --by hour
    """
    from pipeline.search import SearchRequest

    if as_json and as_csv:
        raise click.UsageError("choose one of --json and --csv")
    on_cluster = bool(place["scheduler"] or place["cluster"])
    settings: dict[str, Any] = {"bin_mhz": bin_mhz, "bin_days": bin_days, "emitter_khz": emitter_khz,
                                "with_query": with_query, **({"by": by} if by else {})}
    request, filters = None, asked["filters"]
    if picture is not None:
        if asked["power"] is not None:
            raise click.UsageError("choose one of --npy and --picture")
        asked["power"] = picture.path
    if any(asked[name] is not None for name in PATTERN_PARAMETERS) or asked["like"] or asked["unlike"]:
        with flags_in_messages(click.UsageError):
            request, filters = SearchRequest(**asked, one_shot=not on_cluster), None
        if picture is None:
            request = with_arrays(request)
    needs_files = request is not None and request.file is not None
    with corpus_on_cluster(corpus, place) if on_cluster else nullcontext(
            corpus_here(corpus, needs_files=needs_files)) as opened:
        with flags_in_messages(QueryError):
            if picture is not None and request is not None:
                request = picture.request(opened, request)
            result = opened.occurrence(request, filters=filters, **settings)
        if plot is not None:
            result.plot(plot)
    _show(result, plot, as_json, as_csv)


def _show(result: Occurrence, plot: Path | None, as_json: bool, as_csv: bool) -> None:
    if plot is not None:
        remark(f"picture: {shown(plot)}")
    for note in result.notes:
        remark(f"note: {shown(note)}")
    if as_json:
        put_json(result.to_json())
    elif as_csv:
        from pipeline.occurrence import AXIS_COLUMNS

        put(csv_text(AXIS_COLUMNS, result.rows()), newline=False)
    else:
        put("\n".join(map(shown, lines(result))))


def lines(result: Occurrence) -> list[str]:
    """Return the answer as lines of text: sentences, then a table for each axis."""
    out = [result.statement]
    if result.sensitivity is not None:
        out.append(result.words_of_sensitivity)
    gap_khz = 1e3 * result.emitter_gap_mhz
    out.append(f"a window counts if {result.counts_if}; windows of a scan within {gap_khz:.4g} kHz are one emitter")
    for name, rows in result.tables.items():
        if rows:
            width = max(len(name), *(len(row.bin.label) for row in rows))
            out += ["", f"{name:<{width}} {'scans':>13} {'% (95 %)':>14} {'emitters':>9} {'MHz h':>8} "
                        f"{'per MHz h (95 %)':>22}"]
            out += _rows(rows, width)
    return out


def _rows(rows: tuple[Row, ...], width: int) -> Iterator[str]:
    """Yield a line for each row, and one for neighbouring rows in which nothing was searched."""
    empty: list[Row] = []
    for row in (*rows, None):
        if row is not None and not row.is_observed:
            empty.append(row)
            continue
        if empty:
            label = empty[0].bin.label if len(empty) == 1 else f"{len(empty)} bins from {empty[0].bin.label}"
            yield f"{label:<{width}} {'not observed':>13}"
            empty = []
        if row is not None:
            yield _line(row, width)


def _line(row: Row, width: int) -> str:
    assert row.share is not None
    assert row.rate_per_mhz_h is not None
    share, low, high = (100 * one for one in row.share)
    rate = " ({}–{})".join([short_number(row.rate_per_mhz_h[0]), ""]).format(*map(short_number, row.rate_per_mhz_h[1:]))
    return (f"{row.bin.label:<{width}} {f'{row.scans_with:,} of {row.scans:,}':>13} "
            f"{f'{share:.0f} ({low:.0f}–{high:.0f})':>14} {row.emitters:>9,} {short_number(row.exposure_mhz_h):>8} "
            f"{rate:>22}")
