"""``lookalike verify``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.cluster_options import place_options
from pipeline.cli.grouped import command
from pipeline.cli.options import corpus_option, json_option
from pipeline.cli.output import put, put_json
from pipeline.support.progress_line import Show, duration
from pipeline.support.text import counted, shown, size

if TYPE_CHECKING:
    from pipeline.integrity import Damage, Verification


MAX_FOREIGN_LISTED = 20
"""Files of other programs that the text output lists. JSON lists all."""


@command()
@corpus_option
@click.option("--repair", is_flag=True, help="Rebuild damaged files.")
@click.option("--sample", type=click.FloatRange(0, 1, min_open=True), default=1.0, metavar="SHARE",
              help="Check only this share of the corpus. Each day takes another share, until all objects have been "
                   "checked. Default: 1, the whole corpus.")
@place_options
@json_option
def verify(corpus: Path, repair: bool, sample: float, place: Mapping[str, Any], as_json: bool) -> None:
    """Check the files of a corpus for damage and repair them.

    Compares every file of the corpus with its stored digest, and the number of
    windows and vectors with the manifest. Prints each damaged file and what to
    do about it. The exit code is 5 if damage remains.

    --repair rebuilds windows from the original file, if that has not changed,
    vectors from the stored windows, index segments from the stored vectors, and
    the manifest from its copy. It changes nothing else. A file that cannot be
    rebuilt stays as it is. Only --repair uses the options under "Where tasks
    run".

    \b
    Example:
      lookalike verify --corpus corpus --repair
    """
    from pipeline.config import Config
    from pipeline.integrity import verify as run_verify
    from pipeline.store import mending

    run = Config.of_user().override({"run": place}).run if repair else None
    with closing(Show()) as progress:
        found = run_verify(corpus, sample=sample, repair=repair, run=run, progress=progress)
    if as_json:
        put_json(found.to_json())
    else:
        lines = summary(found)
        if found.damages and not repair:
            lines.append(shown(mending(corpus)))
        put("\n".join(lines))
    sys.exit(found.exit_code)


def summary(found: Verification) -> list[str]:
    """Return how much was read, and a line for each file that was repaired, is damaged or is foreign."""
    of = "" if found.objects == found.objects_in_all else f" of {found.objects_in_all:,}"
    nothing_due = f"; no object was due, each is checked once in {1 / found.sample:.0f} days"
    turns = "" if found.objects or not of else nothing_due
    undamaged = "manifest and identity undamaged" if turns else (
        f"{counted(len(found.mended), 'file')} repaired, no damage left" if found.mended else "no damage")
    lines = [f"{found.objects:,}{of} objects, {size(found.bytes_read)}, read in {duration(found.elapsed_s)}: "
             + (f"{counted(len(found.damages), 'file')} damaged" if found.damages else undamaged) + turns]
    lines += [f"repaired {_damage_line(one)}" for one in found.mended]
    for one in found.damages:
        lines += [f"damaged  {_damage_line(one)}", f"         {shown(one.remedy)}"]
    lines += [f"foreign  {shown(path)}: not part of the corpus, left unchanged"
              for path in found.foreign[:MAX_FOREIGN_LISTED]]
    if len(found.foreign) > MAX_FOREIGN_LISTED:
        lines.append(f"foreign  and {len(found.foreign) - MAX_FOREIGN_LISTED:,} more: --json lists them")
    return [*lines, *(f"note: {shown(note)}" for note in found.notes)]


def _damage_line(damage: Damage) -> str:
    return f"{damage.kind:<10} {shown(damage.id)}: {shown(str(damage.path))}: {shown(damage.message)}"
