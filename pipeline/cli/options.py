"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

corpus_option = click.option(
    "--corpus", type=click.Path(path_type=Path), default=Path("corpus"), show_default=True, metavar="DIR",
    help="Folder of the corpus.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
