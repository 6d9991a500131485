"""``lookalike demo``."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.grouped import command
from pipeline.cli.ingest import summary
from pipeline.cli.output import name_unwritable, put
from pipeline.cli.report import run_with_progress
from pipeline.cli.search import table
from pipeline.support.progress_line import duration
from pipeline.support.text import counted, shown

if TYPE_CHECKING:
    from pipeline.model import Hit
    from pipeline.simulate import Truth

FAMILY = "pulsed-comb"
MIN_GRAPH_VECTORS = 256
"""``--exact-below`` of the demo. The default is so large that the few vectors of the demo would get no graph."""


@command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path("demo"), metavar="[DIR]")
@click.option("--serial", is_flag=True, help="Run every task in this process, without Dask.")
def demo(folder: Path, serial: bool) -> None:
    """Simulate a small archive, then ingest, index and search it.

    Writes six scans of one cadence to DIR (default: ./demo), 0.5 GB when
    decoded. Each scan contains the same twelve families of signals, at other
    frequencies and strengths. The demo searches for one of these signals. It
    prints the commands that do the same by hand.

    \b
    Example:
      lookalike demo demo
    """
    from pipeline.simulate import demo_corpus

    began = time.perf_counter()
    data, corpus, picture = folder / "data", folder / "corpus", folder / "gallery.png"
    put(f"Writing six scans with known signals to {shown(data)} …")
    with name_unwritable(data):
        truth = demo_corpus(data)
    _ingest(data, corpus, serial)
    _index(corpus)
    path, query = _query(truth)
    hits = _search(corpus, path, query, picture)
    found = [_family_at(truth, hit) for hit in hits]
    put(f"\nThe query is a {FAMILY} signal; {found.count(FAMILY)} of its {len(found)} hits are {FAMILY} signals.\n"
        f"Picture: {shown(picture)}\n"
        f"Done in {duration(time.perf_counter() - began)}.\n\n"
        "To drag over a pattern in a browser, and to find its look-alikes there:")
    put(f"$ {shown(shlex.join([_program(), 'serve', '--corpus', str(corpus)]))}")


def _program() -> str:
    """Return how a shell finds this program: by its name alone only if that is on the path."""
    return "lookalike" if shutil.which("lookalike") or not sys.argv[0].endswith("lookalike") else sys.argv[0]


def _step(*words: str | Path) -> None:
    put(f"\n$ lookalike {shown(shlex.join(map(str, words)))}")


def _ingest(data: Path, corpus: Path, serial: bool) -> None:
    from pipeline.run import ingest

    _step("ingest", data, "--corpus", corpus, *(["--serial"] if serial else []))
    report = run_with_progress(partial(ingest, [data], corpus, serial=serial))
    put("\n".join(summary(report)))
    if report.exit_code:
        sys.exit(report.exit_code)


def _index(corpus: Path) -> None:
    from pipeline.config import Config
    from pipeline.run import index

    _step("index", "--corpus", corpus, "--exact-below", str(MIN_GRAPH_VECTORS))
    config = Config.load(corpus, {"index": {"exact_below": MIN_GRAPH_VECTORS}})
    for segment in run_with_progress(partial(index, corpus, config=config)):
        put(f"{segment.id}: {counted(segment.count, 'vector')} of {counted(len(segment.source_ids), 'source')}")


def _query(truth: Mapping[Path, Sequence[Truth]]) -> tuple[Path, Truth]:
    """Return the first file, and the signal of the family with the highest SNR in it."""
    path, placed = next(iter(truth.items()))
    return path, max((one for one in placed if one.placed.signal.name == FAMILY), key=lambda one: one.placed.signal.snr)


def _search(corpus: Path, path: Path, query: Truth, picture: Path) -> Sequence[Hit]:
    from pipeline.search import open_corpus

    f_start, f_stop = f"{query.f_start_mhz:.6f}", f"{query.f_stop_mhz:.6f}"
    _step("search", "--corpus", corpus, "--file", path, "--f-start", f_start, "--f-stop", f_stop, "--plot", picture)
    result = open_corpus(corpus).search(file=path, f_start_mhz=float(f_start), f_stop_mhz=float(f_stop))
    put("\n".join(table(result)))
    result.plot(picture)
    return result


def _family_at(truth: Mapping[Path, Sequence[Truth]], hit: Hit) -> str:
    """Return the family of the simulated signal that overlaps a hit; ``noise`` if there is none."""
    for path, placed in truth.items():
        if os.path.samefile(path, hit.file):
            for one in placed:
                if one.f_start_mhz < hit.window.f_stop_mhz and hit.window.f_start_mhz < one.f_stop_mhz:
                    return one.placed.signal.name
    return "noise"
