"""``lookalike evaluate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from pipeline.cli.output import put, put_json, remark, writing

_PARTS = ("speed", "retrieval", "rerank", "published", "step", "depth", "gate", "notebook", "real")


@click.command()
@click.option("--encoder", "encoders", multiple=True, metavar="NAME",
              help="Measure this encoder; may be repeated. Default: all whose weights are at hand.")
@click.option("--weights", multiple=True, metavar="NAME=FILE", help="Weights of an encoder, for others than its own.")
@click.option("--corpus", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
              help="Take the projections of this corpus. Default: fitted to simulated windows.")
@click.option("--part", "parts", multiple=True, type=click.Choice(_PARTS),
              help="Measure this alone; may be repeated. Default: all that can be measured.")
@click.option("--full", is_flag=True, help="The published numbers of windows: an hour or more instead of minutes.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, metavar="N",
              help="Another seed, other families and noise.")
@click.option("--real", type=click.Path(path_type=Path, file_okay=False), metavar="DIR",
              help="Folder of the small pieces of real data.")
@click.option("--resnet50-weights", default="", metavar="FILE",
              help="ImageNet weights for the notebook. Default: Keras' own download.")
@click.option("--json", "json_file", metavar="FILE|-",
              help="Write all figures as one JSON object; - prints it instead of the tables.")
@click.option("--picture", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE.png",
              help="Draw the curves.")
def evaluate(
    encoders: tuple[str, ...], weights: tuple[str, ...], corpus: Path | None, parts: tuple[Any, ...],
    full: bool, seed: int, real: Path | None, resnet50_weights: str, json_file: str | None, picture: Path | None,
) -> None:
    """Measure how well look-alikes are found.

    Simulates signals that no training has seen, and prints for each encoder
    how well they find their kind, by strength and family, whole or cut by the
    grid, at several depths; the published test beside published figures; what
    the gate lets pass; and windows a second.
    """
    given = dict(map(_name_and_file, weights))
    json_path = None if json_file in (None, "-") else Path(str(json_file))
    for path in (json_path, picture):
        if path is not None and not path.parent.is_dir():  # said before the work, not after it
            raise click.UsageError(f"{path}: there is no folder {path.parent}")
    from pipeline.evaluate.suite import evaluate as run
    from pipeline.evaluate.tables import format_report

    report = run(encoders, weights=given, corpus=corpus, parts=parts, full=full, seed=seed,
                 resnet50_weights=resnet50_weights, real_data=real, tell=remark)
    if json_file == "-":
        put_json(report.to_json())
    else:
        put("\n".join(format_report(report)))
    if json_path is not None:
        with writing(json_path):
            json_path.write_text(json.dumps(report.to_json(), indent=1, allow_nan=False) + "\n")
    if picture is not None:
        from pipeline.evaluate.picture import draw

        draw(picture, report)


def _name_and_file(text: str) -> tuple[str, str]:
    name, equals, file = text.partition("=")
    if not (name and equals and file):
        raise click.UsageError(f"--weights takes NAME=FILE, got {text}")
    return name, file
