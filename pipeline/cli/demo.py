"""``lookalike demo``."""

from __future__ import annotations

import os
import time
from pathlib import Path

import click

from pipeline.cli.ingest import summary
from pipeline.cli.progress import Show, duration
from pipeline.cli.search import table

QUERY_FAMILY = "pulsed-comb"
GRAPH_FROM = 256
"""The demo is small: it builds a graph all the same, to show one."""


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False), default=Path("demo"), metavar="[DIR]")
@click.option("--serial", is_flag=True, help="Run every task in this process, without Dask.")
def demo(folder: Path, serial: bool) -> None:
    """Simulate a small archive in DIR (default ./demo), ingest, index and search it.

    Six scans of a cadence, 0.5 GB decoded, with the same twelve kinds of signals at other frequencies and strengths in each.
    Shows the commands that do the same by hand.
    """
    from pipeline.config import Config
    from pipeline.plot import plot_gallery
    from pipeline.run import index, ingest
    from pipeline.search import open_corpus
    from pipeline.simulate import demo_corpus

    began = time.perf_counter()
    data, corpus, picture = folder / "data", folder / "corpus", folder / "gallery.png"
    click.echo(f"Writing six scans with known signals to {data} …")
    truth = demo_corpus(data)

    _step(f"lookalike ingest {data} --corpus {corpus}")
    config = Config.load(corpus).override({"index": {"exact_below": GRAPH_FROM}})
    progress = Show()
    try:
        report = ingest([data], corpus, config=config, serial=serial, listener=progress)
    finally:
        progress.close()
    click.echo("\n".join(summary(report)))

    _step(f"lookalike index --corpus {corpus}")
    click.echo("(compiling the graph builder takes most of a minute)")
    for segment in index(corpus, config=config):
        click.echo(f"{segment.id}: {segment.count:,} vectors of {len(segment.source_ids)} sources")

    path, placed = next(iter(truth.items()))
    query = max((one for one in placed if one.placed.signal.name == QUERY_FAMILY), key=lambda one: one.placed.signal.snr)
    _step(f"lookalike search --corpus {corpus} --file {path} --f-start {query.f_start_mhz:.6f} "
          f"--f-stop {query.f_stop_mhz:.6f} --plot {picture}")
    opened = open_corpus(corpus)
    result = opened.search(file=path, f_start_mhz=query.f_start_mhz, f_stop_mhz=query.f_stop_mhz, k=10)
    click.echo("\n".join(table(result)))
    plot_gallery(picture, result, opened.power_of(result))

    found = [_family_at(truth, hit.file, hit.window.f_start_mhz, hit.window.f_stop_mhz) for hit in result]
    click.echo(f"\nThe query is a {QUERY_FAMILY}; {found.count(QUERY_FAMILY)} of its {len(found)} hits were put there as one. "
               f"Picture: {picture}")
    click.echo(f"Done in {duration(time.perf_counter() - began)}.")


def _step(command: str) -> None:
    click.echo(f"\n$ {command}")


def _family_at(truth: dict[Path, list], file: str, f_start_mhz: float, f_stop_mhz: float) -> str:  # type: ignore[type-arg]
    """Name the simulated signal that lies in a window, if any."""
    for path, placed in truth.items():
        if os.path.samefile(path, file):
            for one in placed:
                if one.f_start_mhz < f_stop_mhz and f_start_mhz < one.f_stop_mhz:
                    return str(one.placed.signal.name)
    return "noise"
