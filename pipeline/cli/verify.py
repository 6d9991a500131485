"""``lookalike verify``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.cluster_options import place_options
from pipeline.cli.options import corpus_option, json_option
from pipeline.cli.output import put, put_json
from pipeline.cli.progress import Show, duration
from pipeline.text import counted, shown

if TYPE_CHECKING:
    from pipeline.run import Damage, Verification


MOST_FOREIGN = 20
"""Files of other programs that are listed for people."""


@click.command()
@corpus_option
@click.option("--repair", is_flag=True, help="Rebuild what is damaged.")
@click.option("--sample", type=click.FloatRange(0, 1, min_open=True), default=1.0, metavar="SHARE",
              help="Read this share of the objects; each day another, until all have had their turn.")
@place_options
@json_option
def verify(
    corpus: Path, repair: bool, sample: float, place: Mapping[str, Any], serial: bool, as_json: bool
) -> None:
    """Read a corpus through and mend what is damaged.

    Every file is compared with its digest, and counts with what the manifest
    says of them. What is damaged is named, with what to do about it; the exit
    code is then 5.

    --repair makes windows anew from the source's file, if that is as it was,
    vectors from the stored windows, index segments from the stored vectors,
    and the manifest from its copy. Nothing else is touched, and what cannot be
    rebuilt stays as it is. The options that say where tasks run are for this.
    """
    from pipeline.run import verify as run_verify
    from pipeline.store.layout import mending

    with closing(Show()) as progress:
        found = run_verify(corpus, sample=sample, repair=repair, place=place, serial=serial, listener=progress)
    if as_json:
        put_json(found.to_json())
    else:
        lines = summary(found)
        if found.damages and not repair:
            lines.append(shown(mending(corpus)))
        put("\n".join(lines))
    sys.exit(found.exit_code)


def summary(found: Verification) -> list[str]:
    """Tell what was read, mended, and is damaged."""
    of = "" if found.objects == found.objects_in_all else f" of {found.objects_in_all:,}"
    turns = "" if found.objects or not of else f"; it was no object's turn: each has one in {1 / found.sample:.0f} days"
    as_written = "manifest and identity as written" if turns else (
        f"{counted(len(found.mended), 'file')} mended, now all as written" if found.mended else "all as written")
    lines = [f"{found.objects:,}{of} objects, {found.bytes_read / 1e9:,.3f} GB, read in {duration(found.elapsed_s)}: "
             + (f"{counted(len(found.damages), 'file')} damaged" if found.damages else as_written) + turns]
    lines += [f"mended   {_what(one)}" for one in found.mended]
    for one in found.damages:
        lines += [f"damaged  {_what(one)}", f"         {shown(one.remedy)}"]
    lines += [f"foreign  {shown(path)}: no part of the corpus, left as it is" for path in found.foreign[:MOST_FOREIGN]]
    if len(found.foreign) > MOST_FOREIGN:
        lines.append(f"foreign  and {len(found.foreign) - MOST_FOREIGN:,} more: --json lists them")
    return [*lines, *(f"note: {shown(note)}" for note in found.notes)]


def _what(damage: Damage) -> str:
    return f"{damage.kind:<10} {shown(damage.id)}: {shown(str(damage.path))}: {shown(damage.message)}"
