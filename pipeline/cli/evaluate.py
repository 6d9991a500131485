"""``lookalike evaluate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from pipeline.cli.grouped import command
from pipeline.cli.output import name_unwritable, put, put_json, remark

_PARTS = ("speed", "retrieval", "rerank", "published", "step", "depth", "scales", "answers", "refine", "gate",
          "notebook", "real")


@command()
@click.option("--encoder", "encoders", multiple=True, metavar="NAME[=FILE]",
              help="Encoder to measure, with the weights of FILE if there is one. May be repeated; with labelled "
                   "windows, the others are compared with the first. Default: every encoder whose weights are "
                   "available.")
@click.option("--weights", multiple=True, metavar="NAME=FILE",
              help="File with the weights of an encoder. May be repeated. Default: the encoder's own weights.")
@click.option("--corpus", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
              help="Use the projections that were fitted for this corpus. Default: fit them to "
                   "simulated windows.")
@click.option("--part", "parts", multiple=True, type=click.Choice(_PARTS), metavar="PART",
              help=f"Part of the evaluation to run: {', '.join(_PARTS)}. May be repeated. Default: every part "
                   "whose data is available.")
@click.option("--full", is_flag=True,
              help="Use as many windows as the test of arXiv 2302.13854. Takes an hour or more instead of minutes.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, metavar="N",
              help="Seed of the random numbers. Another seed gives other families and noise.")
@click.option("--real", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
              help="Folder for the part real. It holds three files of real signals (voyager1_hits_seticore.npz, "
                   "voyager1_2020_crop.h5 and hip77257_lband_recovered.npy), or windows with labels "
                   "(power_ascending.npy and labels*.json), which the parts answers and refine use, too.")
@click.option("--resnet50-weights", default="", metavar="FILE",
              help="File with ImageNet weights for the part notebook. Default: the file that Keras downloads.")
@click.option("--json", "json_file", metavar="FILE|-",
              help="Write all results to FILE as one JSON object. With -, print it instead of the tables.")
@click.option("--picture", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.png",
              help="Draw the curves of the results to FILE.png.")
@click.option("--mistakes", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.png",
              help="Draw the worst mistakes among windows with labels to FILE.png. Needs --part real and --real.")
def evaluate(
    encoders: tuple[str, ...], weights: tuple[str, ...], corpus: Path | None, parts: tuple[Any, ...],
    full: bool, seed: int, real: Path | None, resnet50_weights: str, json_file: str | None, picture: Path | None,
    mistakes: Path | None,
) -> None:
    """Measure how well each encoder finds similar signals.

    Simulates signals that were not used in training. For each encoder, prints
    how well a signal finds other signals of its family:

    \b
      - by strength and by family;
      - for whole signals, and for signals cut by the window grid;
      - for cutouts of several bit depths;
      - for patterns of many sizes, through the views of a scan.

    Compares the numbers of hits that are expected by chance with those that come,
    in simulated corpora and, with --real, among labelled windows; and how often the
    intervals of occurrence hold. Measures how much labels help, too, with search
    --like and --unlike.

    Also prints the results of the test of arXiv 2302.13854 beside those of the paper,
    the share of windows that the gate keeps, and the number of windows encoded
    per second.

    \b
    Example:
      lookalike evaluate --part retrieval --encoder spectral
    """
    given = dict(map(_name_and_file, weights))
    json_path = None if json_file in (None, "-") else Path(str(json_file))
    for path in (json_path, picture, mistakes):
        if path is not None and not path.parent.is_dir():  # an error now, and not after hours of work
            raise click.UsageError(f"{path}: there is no folder {path.parent}; create it first")
    if mistakes is not None and (real is None or (parts and "real" not in parts)):
        raise click.UsageError("--mistakes needs --real DIR, and the part real")
    from pipeline.evaluate import evaluate as run
    from pipeline.evaluate import format_report

    report = run(encoders, weights=given, corpus=corpus, parts=parts, full=full, seed=seed,
                 resnet50_weights=resnet50_weights, real_data=real, tell=remark)
    if json_file == "-":
        put_json(report.to_json())
    else:
        put("\n".join(format_report(report)))
    if json_path is not None:
        with name_unwritable(json_path):
            json_path.write_text(json.dumps(report.to_json(), indent=1, allow_nan=False) + "\n")
    if picture is not None:
        from pipeline.evaluate import draw

        draw(picture, report)
    if mistakes is not None and real is not None:
        from pipeline.evaluate import draw_mistakes

        draw_mistakes(mistakes, real, report)


def _name_and_file(text: str) -> tuple[str, str]:
    name, equals, file = text.partition("=")
    if not (name and equals and file):
        raise click.UsageError(f"--weights takes NAME=FILE, got {text}")
    return name, file
