"""Options of a command that say what to search for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.signals import SIGNAL_FLAGS, signal_options
from pipeline.errors import QueryError

if TYPE_CHECKING:
    from pipeline.search import SearchRequest

Command = Callable[..., Any]
PATTERN_FLAGS = ("--file", "--f-start", "--f-stop", "--t-start", "--t-stop", "--window", "--npy", "--vector",
                 *SIGNAL_FLAGS)
"""The options, in the order of the help."""
PATTERN_PARAMETERS = ("file", "f_start_mhz", "f_stop_mhz", "t_start_s", "t_stop_s", "window", "power", "vector",
                      "signal")
"""The parameters of a request that they set."""


def _windows(ctx: click.Context, option: click.Parameter, names: tuple[str, ...]) -> str | tuple[str, ...] | None:
    """Return one name by itself, several as they are, and None for none."""
    return names[0] if len(names) == 1 else names or None


_OPTIONS = (
    click.option("--file", metavar="NAME_OR_PATH",
                 help="Search for a range of this file, which may be in the corpus or not. Needs --f-start and "
                      "--f-stop."),
    click.option("--f-start", "f_start_mhz", type=float, metavar="MHZ", help="Lower end of the range, in MHz."),
    click.option("--f-stop", "f_stop_mhz", type=float, metavar="MHZ", help="Upper end of the range, in MHz."),
    click.option("--t-start", "t_start_s", type=float, metavar="S",
                 help="Begin of the range, in seconds after the first spectrum of the file. Default: its begin."),
    click.option("--t-stop", "t_stop_s", type=float, metavar="S",
                 help="End of the range, in seconds after the first spectrum of the file. Default: its end."),
    click.option("--window", metavar="SOURCE/NUMBER", multiple=True, callback=_windows,
                 help="Search for a window of the corpus. Its source is named by id, beginning of the id, or file "
                      "name. Of several windows, a hit resembles any."),
    click.option("--npy", "power", type=click.Path(path_type=Path), metavar="FILE",
                 help="Search for an array of linear power in a .npy file. Its axes are spectra and channels, with "
                      "frequency ascending. Arrays that blimpy reads are descending if foff < 0: reverse their "
                      "channels."),
    click.option("--vector", type=click.Path(path_type=Path), metavar="FILE",
                 help="Search for the vectors in a .npy file, which the encoder has made: one, or one in each row. A "
                      "hit resembles any of them."),
)


def pattern_options(command: Command) -> Command:
    """Add the options to a command. Each has the name of the parameter of a request that it sets."""
    completed = signal_options(command)
    for option in reversed(_OPTIONS):
        completed = option(completed)
    return completed


def with_arrays(request: SearchRequest) -> SearchRequest:
    """Return a request with the arrays that its ``.npy`` files hold in place of their paths."""
    paths = {name: path for name in ("power", "vector") if isinstance(path := getattr(request, name), Path)}
    return replace(request, **{name: read_array(path) for name, path in paths.items()})


def read_array(path: Path) -> Any:
    """Read a ``.npy`` file.

    Raises
    ------
    QueryError
        The file cannot be read, is no ``.npy`` file, or holds Python objects, which would have to be unpickled.
    """
    from numpy.lib.format import read_array as read_npy

    try:
        with path.open("rb") as stream:
            return read_npy(stream, allow_pickle=False)
    except OSError as error:
        raise QueryError(f"{path}: cannot be read ({error.strerror or error})") from error
    except Exception as error:  # numpy's parser raises errors of many kinds
        raise QueryError(f"{path}: not an array as numpy.save writes it ({error})") from error
