"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any

import click

from pipeline.config import PRECISIONS

corpus_option = click.option(
    "--corpus", type=click.Path(path_type=Path), default=Path("corpus"), show_default=True, metavar="DIR",
    help="Folder of the corpus.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")

_RUN_OPTIONS = (
    click.option("--scheduler", metavar="ADDR",
                 help="Address of a running Dask scheduler; default: workers on this machine."),
    click.option("--workers", type=click.IntRange(1), metavar="N",
                 help="Worker processes on this machine; default: one a core."),
    click.option("--serial", is_flag=True, help="Run every task in this process, without Dask."),
    click.option("--weights", type=click.Path(path_type=Path), metavar="FILE",
                 help="Local weights file of the encoder."),
    click.option("--precision", type=click.Choice(PRECISIONS),
                 help="What the encoder computes with; less than float32 makes vectors of its own kind, and needs "
                      "hardware for it to be faster. auto: the fastest on this machine. Default: the corpus' own, else "
                      "float32."),
    click.option("--embed-on", type=click.Choice(["auto", "gpu", "cpu"]),
                 help="Workers that embed; auto: those with a GPU, if any."),
    click.option("--dry-run", is_flag=True, help="Tell what would be done, write nothing."),
)


def run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of every command that makes vectors: where it runs, and with which weights."""
    return reduce(lambda function, option: option(function), reversed(_RUN_OPTIONS), command)


def check_places(serial: bool, workers: int | None, scheduler: str | None) -> None:
    """Refuse a run in several places at once."""
    places = {"--serial": serial, "--workers": workers, "--scheduler": scheduler}
    given = [name for name, value in places.items() if value]
    if len(given) > 1:
        raise click.UsageError(f"choose one of {' and '.join(given)}")
