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
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Show what would be done. Write nothing.")
embed_on_option = click.option(
    "--embed-on", type=click.Choice(["auto", "gpu", "cpu"]),
    help="Workers that run the encoder. gpu: only workers that offer a GPU. cpu: any worker. auto: gpu if a worker "
         "offers a GPU, otherwise cpu. With cpu, a run starts no GPU workers on this machine. Default: auto.")


def _views(ctx: click.Context, option: click.Parameter, value: str | None) -> list[str] | None:
    """Return the names of averaged views in an option; None if it is not given."""
    if value is None or value.strip() == "none":
        return None if value is None else []
    return [name.strip() for name in value.split(",")]


views_option = click.option(
    "--views", callback=_views, metavar="NAMES",
    help="Averaged views of each file, besides the file itself: auto, none, or names such as f4,f16,t4 (f: channels, "
         "t: spectra that are averaged). auto takes f4 and f16 for fine products, and t4 and t16 if there are enough "
         "spectra. Default: those of the corpus; auto for a new one.")

_RUN_OPTIONS = (
    click.option("--weights", type=click.Path(path_type=Path), metavar="FILE",
                 help="File with the weights of the encoder. Default: the encoder's own weights."),
    click.option("--precision", type=click.Choice(PRECISIONS),
                 help="Number format in which the encoder computes. auto: the fastest on this machine. bfloat16 and "
                      "float16 are faster only on hardware that supports them. Vectors of different formats are not "
                      "compared with each other. Default: the format of the corpus; float32 for a new corpus."),
    embed_on_option,
    dry_run_option,
)


def run_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of every command that computes vectors: encoder, dry run, and :func:`place_options`."""
    return place_options(reduce(lambda function, option: option(function), reversed(_RUN_OPTIONS), command))
