"""Options of a search that say where hits may lie. They are built from the table of filters."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from pipeline.errors import QueryError
from pipeline.search.filter_table import FILTERS, Filter  # not from the package: it would load numpy

Command = Callable[..., Any]


def filter_options(command: Command) -> Command:
    """Add an option for each filter to a command. The command gets them all as ``filters``."""
    @wraps(command)
    def with_filters(**values: Any) -> Any:
        from pipeline.search import Filters

        return command(filters=Filters(**{name: values.pop(name) for name in FILTERS}), **values)

    completed: Command = with_filters
    for row in reversed(tuple(FILTERS.values())):
        completed = _option(row)(completed)
    return completed


def _option(row: Filter) -> Callable[[Command], Command]:
    def parse(ctx: click.Context, param: click.Parameter, given: Any) -> Any:
        try:
            if row.is_list:
                return tuple(map(row.kind.parse, given))
            return None if given is None else row.kind.parse(given)
        except QueryError as error:
            raise click.BadParameter(str(error)) from error

    bare: dict[str, Any] = {} if row.if_bare is None else {"is_flag": False, "flag_value": row.if_bare}
    return click.option(row.flag, row.name, multiple=row.is_list, metavar=row.kind.metavar, callback=parse,
                        help=row.help, **bare)
