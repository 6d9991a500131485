"""``lookalike scans``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.grouped import command
from pipeline.cli.options import corpus_option, json_option
from pipeline.cli.output import put, put_csv, put_json, remark
from pipeline.cli.search import flags_in_messages
from pipeline.errors import QueryError
from pipeline.support.text import counted, shown

if TYPE_CHECKING:
    from pipeline.search import ListedScan, ListedWindow


@command(groups={"Windows of one scan": ("--f-start", "--f-stop")})
@click.argument("scan", required=False)
@corpus_option
@click.option("--f-start", "f_start_mhz", type=float, metavar="MHZ",
              help="Only windows that reach above this frequency.")
@click.option("--f-stop", "f_stop_mhz", type=float, metavar="MHZ", help="Only windows that reach below this frequency.")
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="Write the list to a file: .csv, .vot (VOTable), .parquet, .json or .html.")
def scans(scan: str | None, corpus: Path, f_start_mhz: float | None, f_stop_mhz: float | None, as_json: bool,
          as_csv: bool, out: Path | None) -> None:
    """List the scans of a corpus, or the kept windows of one.

    SCAN is the id of a scan, the beginning of its id, or the name of its file. Its
    windows are listed with those of its averaged views, by frequency.

    \b
    Example:
      lookalike scans --corpus corpus
      lookalike scans voyager.h5 --f-start 8419.29 --f-stop 8419.31 --csv
    """
    from pipeline.search import open_corpus, table_of_scans, table_of_windows

    if as_json and as_csv:
        raise click.UsageError("choose one of --json and --csv")
    if scan is None and (f_start_mhz is not None or f_stop_mhz is not None):
        raise click.UsageError("--f-start and --f-stop need a SCAN, whose windows they choose")
    opened = open_corpus(corpus)
    if scan is None:
        found = opened.scans()
        table, text = table_of_scans(found), lines(found)
        record = {"scans": [one.to_json() for one in found]}
    else:
        with flags_in_messages(QueryError):
            windows = opened.kept_windows(scan, f_start_mhz, f_stop_mhz)
        table, text = table_of_windows(windows, scan), lines_of_windows(windows)
        record = {"windows": [one.to_json() for one in windows]}
    if out is not None:
        table.save(out)
        remark(f"written: {shown(out)}")
    if as_json:
        put_json(record)
    elif as_csv:
        put_csv(table)
    elif out is None:
        put("\n".join(map(shown, text)))


def lines(scans: Sequence[ListedScan]) -> list[str]:
    """Return scans as lines of text."""
    return [counted(len(scans), "scan"), *(
        f"{one.id}  MJD {one.mjd:.5f}  {one.f_start_mhz:.6f}–{one.f_stop_mhz:.6f} MHz  "
        f"{one.spectra} × {one.tsamp_s:.3g} s  {one.kept:,} of {one.windows:,} windows kept  {one.file}"
        for one in scans)]


def lines_of_windows(windows: Sequence[ListedWindow]) -> list[str]:
    """Return windows as lines of text."""
    return [counted(len(windows), "kept window"), *(
        f"{one.f_start_mhz:.6f}–{one.f_stop_mhz:.6f} MHz  {one.t_start_s:.2f}–{one.t_stop_s:.2f} s  SNR {one.snr:.1f}"
        f"  {one.source}/{one.window}" for one in windows)]
