"""Options of a search that is refined by examples, and the windows to label next."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from pipeline.search import SearchRequest, SearchResult

FLAGS = ("--like", "--unlike")
Command = Callable[..., Any]


def example_options(command: Command) -> Command:
    """Add ``--like``, ``--unlike`` and ``--to-label``. The first two set parameters of the search."""
    for option in (
        click.option("--to-label", type=click.IntRange(1), metavar="N",
                     help="With --like or --unlike, also list N windows to label next: borderline and random ones."),
        click.option("--unlike", multiple=True, metavar="EXAMPLE",
                     help="An example of what is not alike, as in --like. May be repeated."),
        click.option("--like", multiple=True, metavar="EXAMPLE",
                     help="An example of what is alike: SOURCE/NUMBER, FILE:MHZ-MHZ, or label:TEXT for all windows "
                          "with a label. May be repeated. Goes with another query, or replaces it."),
    ):
        command = option(command)
    return command


def check_to_label(request: SearchRequest, count: int | None) -> None:
    """Raise an error if windows to label are asked for in a search without examples."""
    if count is not None and not (request.like or request.unlike):
        raise click.UsageError("--to-label goes with --like or --unlike")


def json_to_label(result: SearchResult, count: int | None) -> dict[str, Any]:
    """Return the windows to label next under the key ``to_label``; an empty dictionary if ``count`` is None."""
    return {} if count is None else {"to_label": [one.to_json() for one in result.to_label(count)]}


def lines_to_label(result: SearchResult, count: int | None) -> list[str]:
    """Return the windows to label next as aligned lines; none if ``count`` is None."""
    if count is None:
        return []
    chosen = result.to_label(count)
    return ["to label next:" if chosen else "no window is left to label",
            *(f"    {one.why:<10} {one.score:6.3f} {one.f_start_mhz:>12.6f}–{one.f_stop_mhz:.6f} {one.mjd:12.5f}  "
              f"{one.window}" for one in chosen)]
