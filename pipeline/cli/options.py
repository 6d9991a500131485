"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any

import click

from pipeline.cli.cluster_options import place_options
from pipeline.config import PRECISIONS

corpus_option = click.option(
    "--corpus", type=click.Path(path_type=Path), default=Path("corpus"), show_default=True, metavar="DIR",
    help="Folder of the corpus.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")

_RUN_OPTIONS = (
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
    """Add the options of every command that makes vectors: with which weights, and :func:`place_options`."""
    return place_options(reduce(lambda function, option: option(function), reversed(_RUN_OPTIONS), command))
