"""``lookalike ingest``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.options import corpus_option, json_option, run_options
from pipeline.cli.progress import duration
from pipeline.cli.report import conclude, each, outcomes, shown_run
from pipeline.errors import Reason
from pipeline.support.text import counted

if TYPE_CHECKING:
    from pipeline.run import RunReport


@click.command()
@click.argument("data", nargs=-1, required=True, type=click.Path(path_type=Path))
@corpus_option
@run_options
@click.option("--encoder", metavar="NAME", help="Encoder of a new corpus; default: spectral.")
@click.option("--window", type=click.IntRange(2), metavar="CHANNELS", help="Fine channels a window (default 256).")
@click.option("--step", type=click.IntRange(1), metavar="CHANNELS",
              help="Fine channels from window to window (default: the window).")
@click.option("--false-alarm", type=float, metavar="RATE", help="Share of pure-noise windows kept (default 0.001).")
@click.option("--keep-all", is_flag=True, default=None, help="Keep every window, signal or not.")
@click.option("--f-start", type=float, metavar="MHZ", help="Take only windows above this frequency.")
@click.option("--f-stop", type=float, metavar="MHZ", help="Take only windows below this frequency.")
@click.option("--coarse-width", type=click.IntRange(2), metavar="CHANNELS",
              help="Fine channels a coarse channel (default: found out from each file).")
@click.option("--polarisation", type=click.IntRange(0), metavar="I",
              help="Product of files with several (default 0, total power).")
@json_option
def ingest(data: tuple[Path, ...], corpus: Path, as_json: bool, serial: bool, dry_run: bool, **flags: Any) -> None:
    """Read filterbank files and add what they hold to a corpus.

    DATA are files (.h5, .hdf5, .fil) and folders, which are walked. Without any
    filterbank file there, no corpus is made (exit code 2). What the corpus holds
    already is not read again; an interrupted ingest goes on where
    it was. What decides which windows a corpus holds (window, step, false
    alarm, range, coarse width, polarisation), and its encoder and precision,
    stay as the first ingest set them; vectors of other encoders, or in other
    precisions, are added by lookalike embed.
    """
    if flags["keep_all"] and flags["false_alarm"] is not None:
        raise click.UsageError("choose one of --keep-all and --false-alarm")
    from pipeline.config import Config
    from pipeline.run import ingest as run_ingest

    config = Config.load(corpus, overrides(flags))
    report = shown_run(partial(run_ingest, data, corpus, config=config, serial=serial, dry_run=dry_run))
    conclude(report, summary, as_json)


def overrides(flags: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Sort flags into the tables of ``corpus.toml``."""
    weights = flags["weights"]
    scan = ("window", "step", "false_alarm", "keep_all", "coarse_width", "polarisation")
    return {
        "scan": {key: flags[key] for key in scan} | {"f_start_mhz": flags["f_start"], "f_stop_mhz": flags["f_stop"]},
        # absolute: later runs and searches look for it from other folders
        "encoder": {"name": flags["encoder"], "weights": None if weights is None else str(weights.absolute()),
                    "precision": flags["precision"]},
        "run": {**flags["place"], "embed_on": flags["embed_on"]},
    }


def summary(report: RunReport) -> list[str]:
    """Tell in a few lines what a run did, and what is wrong with which file."""
    lines = [f"{counted(len(report.reports), 'file')}: {outcomes(report)}"]
    if all(r.reason is Reason.NOT_FILTERBANK for r in report.reports):
        lines.append("nothing to ingest: no filterbank file among them")
    if report.windows_seen:
        timing, seconds = report.timing, max(report.elapsed_s, 1e-9)
        masked = sum(r.windows_masked for r in report.reports)
        lines += [
            f"{counted(report.windows_seen, 'window')} seen, {report.windows_kept:,} kept "
            f"({100 * report.windows_kept / report.windows_seen:.2f} %), {masked:,} masked",
            f"{report.bytes_decoded / 1e9:.2f} GB decoded in {duration(seconds)}: "
            f"{report.windows_seen / seconds:,.0f} windows/s, {report.bytes_decoded / seconds / 1e6:,.0f} MB/s",
            f"seconds in tasks: read {timing.read_s:.1f}, scan {timing.scan_s:.1f}, embed {timing.embed_s:.1f}, "
            f"write {timing.write_s:.1f}",
        ]
    return [*lines, *each(report)]
