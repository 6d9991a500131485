"""``lookalike ingest``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.grouped import command
from pipeline.cli.options import corpus_option, json_option, run_options, views_option
from pipeline.cli.report import (
    coverage_lines,
    file_lines,
    outcome_counts,
    print_and_exit,
    run_with_progress,
    view_lines,
)
from pipeline.config import ScanConfig
from pipeline.errors import Reason
from pipeline.support.progress_line import duration
from pipeline.support.text import counted, size

if TYPE_CHECKING:
    from pipeline.run import RunReport


DEFAULT = ScanConfig()


@command(groups={
    "Averaged views and overviews": ("--views", "--add-views", "--add-overview"),
    "Windows of a new corpus": ("--window", "--step", "--cover", "--false-alarm", "--keep-all", "--f-start", "--f-stop",
                                "--coarse-width", "--polarisation"),
})
@click.argument("data", nargs=-1, required=True, type=click.Path(path_type=Path))
@corpus_option
@run_options
@click.option("--encoder", metavar="NAME", help="Encoder of a new corpus. Default: spectral.")
@click.option("--window", type=click.IntRange(2), metavar="CHANNELS",
              help=f"Width of a window, in fine channels. Default: {DEFAULT.window}.")
@click.option("--step", type=click.IntRange(1), metavar="CHANNELS",
              help="Distance from one window to the next, in fine channels. Default: the width of a window.")
@click.option("--cover/--no-cover", default=None,
              help="Cover the channels left over in each coarse channel, and the spectra left over at the end of a "
                   "file, with one more window that overlaps the one before. --no-cover: leave them out, and count "
                   "them. Default: --cover.")
@click.option("--false-alarm", type=float, metavar="RATE",
              help="Share of the windows of pure noise that are kept, between 0 and 0.5. Default: "
                   f"{DEFAULT.false_alarm}.")
@click.option("--keep-all", is_flag=True, default=None, help="Keep every window, with or without a signal.")
@click.option("--f-start", type=float, metavar="MHZ",
              help="Keep only windows above this frequency. Default: from the lower end of the band.")
@click.option("--f-stop", type=float, metavar="MHZ",
              help="Keep only windows below this frequency. Default: to the upper end of the band.")
@click.option("--coarse-width", type=click.IntRange(2), metavar="CHANNELS",
              help="Width of a coarse channel, in fine channels. Default: determined from each file.")
@click.option("--polarisation", type=click.IntRange(0), metavar="INDEX",
              help="Polarisation to read from files that hold several, counted from 0. Default: "
                   f"{DEFAULT.polarisation}, the total power.")
@views_option
@click.option("--add-views", is_flag=True,
              help="Add averaged views to the corpus: those that --views names; without --views, those of the corpus, "
                   "or auto if it has none. Files of DATA that the corpus contains without these views are read again.")
@click.option("--add-overview", is_flag=True,
              help="Make an overview, for pictures of whole scans, of each new file. Files of DATA that the corpus "
                   "contains, but has no overview of, are read again to make one.")
@click.option("--accept-truncated", is_flag=True,
              help="If the end of a file is missing, read those of its spectra that are complete. Default: only if the "
                   "file has not changed for 10 minutes.")
@json_option
def ingest(
    data: tuple[Path, ...], corpus: Path, accept_truncated: bool, add_views: bool, add_overview: bool, as_json: bool,
    dry_run: bool, **flags: Any,
) -> None:
    """Read filterbank files and add their signals to a corpus.

    DATA are filterbank files (.h5, .hdf5, .fil), or folders that are searched
    for such files. The corpus is created if it does not exist. If no file is a
    filterbank file, no corpus is created and the exit code is 2.

    Files that the corpus already contains are not read again. An interrupted
    ingest continues where it stopped: run the same command again.

    The first ingest fixes the options under "Windows of a new corpus", the
    encoder and the precision. To add vectors of another encoder or precision,
    use lookalike embed.

    \b
    Example:
      lookalike ingest /mnt/blpd7 --corpus corpus
    """
    if flags["keep_all"] and flags["false_alarm"] is not None:
        raise click.UsageError("choose one of --keep-all and --false-alarm")
    from pipeline.config import Config
    from pipeline.run import ingest as run_ingest

    config = Config.load(corpus, overrides(flags))
    report = run_with_progress(partial(run_ingest, data, corpus, config=config, accept_truncated=accept_truncated,
                                       add_views=add_views, add_overview=add_overview, dry_run=dry_run))
    print_and_exit(report, summary, as_json)


def overrides(flags: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the flags as tables of ``corpus.toml`` and of the user's settings: table → key → value."""
    weights = flags["weights"]
    scan = ("window", "step", "cover", "false_alarm", "keep_all", "coarse_width", "polarisation", "views")
    return {
        "scan": {key: flags[key] for key in scan} | {"f_start_mhz": flags["f_start"], "f_stop_mhz": flags["f_stop"]},
        # absolute: later runs and searches may start in another folder
        "encoder": {"name": flags["encoder"], "weights": None if weights is None else str(weights.absolute()),
                    "precision": flags["precision"]},
        "run": {**flags["place"], "embed_on": flags["embed_on"]},
    }


def summary(report: RunReport) -> list[str]:
    """Return the counts and times of a run, and a line for each file with a fault."""
    lines = [f"{counted(len(report.reports), 'file')}: {outcome_counts(report)}"]
    if all(r.reason is Reason.NOT_FILTERBANK for r in report.reports):
        lines.append("nothing to ingest: no filterbank file among them")
    if report.windows_seen:
        timing, seconds = report.timing, max(report.elapsed_s, 1e-9)
        masked = sum(r.windows_masked for r in report.reports)
        lines += [
            f"{counted(report.windows_seen, 'window')} seen, {report.windows_kept:,} kept "
            f"({100 * report.windows_kept / report.windows_seen:.2f} %), {masked:,} masked",
            f"{size(report.bytes_decoded)} decoded in {duration(seconds)}: "
            f"{report.windows_seen / seconds:,.0f} windows/s, {size(report.bytes_decoded / seconds)}/s",
            f"seconds in tasks: read {timing.read_s:.1f}, scan {timing.scan_s:.1f}, embed {timing.embed_s:.1f}, "
            f"write {timing.write_s:.1f}",
        ]
    if report.resumed:
        lines.append(f"{counted(report.resumed, 'file')} searched by an earlier run: only the vectors were missing")
    lines += view_lines(report.views)
    if report.without_signal:
        lines.append(f"{counted(report.without_signal, 'file')} without a signal: no window passed the gate")
    if report.out_of_band:
        lines.append(f"{counted(report.out_of_band, 'file')} without a window in the band that the corpus searches")
    return [*lines, *coverage_lines(report), *file_lines(report)]
