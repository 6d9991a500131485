"""Options of a search that take its pattern from the picture of a plot."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.output import name_unwritable, remark
from pipeline.support.text import shown

if TYPE_CHECKING:
    from pipeline.search import Corpus, SearchRequest

Command = Callable[..., Any]
FLAGS = ("--picture", "--hz", "--seconds", "--bar", "--scale", "--colormap", "--crop", "--time-runs",
         "--frequency-descends", "--understood")
"""The options, for the help."""


@dataclass(frozen=True, slots=True)
class PlotQuery:
    """A picture of a plot, and what the user says about it."""

    path: Path
    understood: Path | None
    told: dict[str, Any]
    """Keywords of :func:`pipeline.plot_reader.read_plot`."""

    def request(self, corpus: Corpus, request: SearchRequest) -> SearchRequest:
        """Read the plot, show how it was understood, and return the request with its power and its view.

        Raises
        ------
        QueryError
            The picture cannot be read, or shows no plot.
        ConfigError
            The picture of what was understood cannot be written.
        """
        from pipeline.plot_reader import read_plot
        from pipeline.support.durable import write_atomic

        reading = read_plot(self.path, **self.told)
        power, view = corpus.fit_plot(reading, encoder=request.encoder, view=request.view)
        place = self.understood or Path(f"{self.path.stem}-understood.png")
        with name_unwritable(place):
            write_atomic(place, reading.drawn(power))
        remark(f"{shown(self.path)}: {reading}; view {view}")
        remark(f"understood: {shown(place)}")
        return replace(request, power=power, view=None if request.all_views else view)


def picture_options(command: Command) -> Command:
    """Add the options to a command, which gets them all as ``picture``: a :class:`PlotQuery`, or None."""
    @wraps(command)
    def with_picture(*, picture: Path | None, understood: Path | None, **values: Any) -> Any:
        told = {name: values.pop(name) for name in _TOLD}
        given = [name for name, value in told.items() if value not in (None, False, _DEFAULTS.get(name))]
        if picture is None and (given or understood):
            raise click.UsageError(f"{', '.join(_flag(name) for name in given) or '--understood'} go with --picture")
        return command(picture=picture and PlotQuery(picture, understood, told), **values)

    completed: Command = with_picture
    for option in reversed(_OPTIONS):
        completed = option(completed)
    return completed


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _numbers(count: int, kind: type) -> Callable[..., Any]:
    def parse(ctx: click.Context, param: click.Parameter, text: str | None) -> Any:
        if text is None:
            return None
        from pipeline.plot_reader import parse_numbers

        numbers = parse_numbers(text, count)
        if numbers is None or any(kind(number) != number for number in numbers):
            raise click.BadParameter(f"{text!r} is not {count} numbers, such as {param.metavar}")
        return tuple(map(kind, numbers))

    return parse


_TOLD = ("hz", "seconds", "bar", "scale", "colormap", "crop", "time_runs", "frequency_descends")
_DEFAULTS = {"scale": "db", "time_runs": "up"}
_OPTIONS = (
    click.option("--picture", type=click.Path(path_type=Path), metavar="PLOT.png",
                 help="Search for the picture of a waterfall plot, such as a figure of a paper. The axes, the colour "
                      "bar and the pixels are found in it."),
    click.option("--hz", type=float, metavar="WIDTH",
                 help="Width of the plot in hertz. Default: a channel of the plot is one of the corpus."),
    click.option("--seconds", type=float, metavar="DURATION",
                 help="Duration of the plot in seconds. Default: a spectrum of the plot is one of the corpus."),
    click.option("--bar", callback=_numbers(2, float), metavar="LOW:HIGH",
                 help="Numbers at the lowest and at the highest tick of the colour bar. Default: as many dB as give "
                      "the plot the noise of the corpus."),
    click.option("--scale", type=click.Choice(["db", "linear"]), default="db", show_default=True,
                 help="Whether the colours show decibels or linear power. linear needs --bar."),
    click.option("--colormap", metavar="NAME",
                 help="Colour map of matplotlib. Default: it is recognised."),
    click.option("--crop", callback=_numbers(4, int), metavar="LEFT,TOP,RIGHT,BOTTOM",
                 help="Inside of the axes, in pixels from the upper left corner. Default: it is found."),
    click.option("--time-runs", type=click.Choice(["up", "down", "right"]), default="up", show_default=True,
                 help="Direction of time in the plot. If it runs right, frequency runs up."),
    click.option("--frequency-descends", is_flag=True, help="Frequency runs left, or down."),
    click.option("--understood", type=click.Path(path_type=Path, dir_okay=False), metavar="OUT.png",
                 help="Show in this picture how the plot was understood, before the answer. Default: "
                      "PLOT-understood.png in this folder."),
)
