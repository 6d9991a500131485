"""The options of a search that say where hits may lie, handed on as one."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce, wraps
from typing import Any

import click

from pipeline.errors import QueryError


def _ranges(ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> tuple[tuple[float, float], ...]:
    """Read ``LOW:HIGH``, of which either may be left out."""
    ranges = []
    for text in texts:
        low, colon, high = text.partition(":")
        try:
            ends = (float(low) if low else -math.inf, float(high) if high else math.inf)
        except ValueError:
            ends = (math.nan, math.nan)
        if not colon or not ends[0] < ends[1]:
            raise click.BadParameter(f"{text!r} is no range in MHz: give LOW:HIGH, such as 1420:1421, 1420: or :1421")
        ranges.append(ends)
    return tuple(ranges)


def _moment(ctx: click.Context, param: click.Parameter, text: str | None) -> float | None:
    """Read an ISO date, with or without a time, or an MJD."""
    if text is None:
        return None
    from pipeline.search.filters import mjd_of

    try:
        return mjd_of(text)
    except QueryError as error:
        raise click.BadParameter(str(error)) from error


_OPTIONS = (
    click.option("--only-mhz", multiple=True, metavar="LOW:HIGH", callback=_ranges,
                 help="Hits that share a channel with this range of frequency; repeatable, as all --only and --not."),
    click.option("--not-mhz", multiple=True, metavar="LOW:HIGH", callback=_ranges,
                 help="None that shares a channel with this range."),
    click.option("--only-file", multiple=True, metavar="NAME",
                 help="Hits in this file: name, path or beginning of the source id; * and ? stand for anything."),
    click.option("--not-file", multiple=True, metavar="NAME", help="None in this file."),
    click.option("--only-target", multiple=True, metavar="NAME", help="Hits in scans of this target."),
    click.option("--only-telescope", multiple=True, metavar="NAME",
                 help="Hits of this telescope: name as in source ids (GBT) or sigproc number (6)."),
    click.option("--after", "after_mjd", metavar="TIME", callback=_moment,
                 help="Hits that begin at this UTC or later: 2016-02-18, 2016-02-18T14:17 or an MJD."),
    click.option("--before", "before_mjd", metavar="TIME", callback=_moment, help="Hits that begin before this UTC."),
)
_NAMES = ("only_mhz", "not_mhz", "only_file", "not_file", "only_target", "only_telescope", "after_mjd", "before_mjd")


def filter_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command, which gets them as ``filters``."""
    @wraps(command)
    def with_filters(**values: Any) -> Any:
        from pipeline.search import Filters

        given = {name: values.pop(name) for name in _NAMES}
        return command(filters=Filters(**given), **values)

    return reduce(lambda function, option: option(function), reversed(_OPTIONS), with_filters)
