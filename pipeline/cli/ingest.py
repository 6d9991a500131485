"""``lookalike ingest``."""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import click

from pipeline.cli import shown
from pipeline.cli.options import corpus_option, json_option, scheduler_option
from pipeline.cli.progress import Show, duration
from pipeline.config import Config
from pipeline.run import RunReport
from pipeline.run import ingest as run_ingest


@click.command()
@click.argument("data", nargs=-1, required=True, type=click.Path(path_type=Path))
@corpus_option
@scheduler_option
@click.option("--workers", type=click.IntRange(1), metavar="N", help="Worker processes on this machine; default: one a core.")
@click.option("--serial", is_flag=True, help="Run every task in this process, without Dask.")
@click.option("--encoder", metavar="NAME", help="Encoder of the vectors: power-spectrum (default) or resnet50.")
@click.option("--weights", metavar="FILE", help="Local weights file of the encoder.")
@click.option("--embed-on", type=click.Choice(["auto", "gpu", "cpu"]), help="Workers that embed; auto: those with a GPU, if any.")
@click.option("--window", type=click.IntRange(2), metavar="CHANNELS", help="Fine channels a window (default 256).")
@click.option("--step", type=click.IntRange(1), metavar="CHANNELS", help="Fine channels from window to window (default: the window).")
@click.option("--false-alarm", type=float, metavar="RATE", help="Share of pure-noise windows kept (default 0.001).")
@click.option("--keep-all", is_flag=True, default=None, help="Keep every window, signal or not.")
@click.option("--f-start", type=float, metavar="MHZ", help="Search only above this frequency.")
@click.option("--f-stop", type=float, metavar="MHZ", help="Search only below this frequency.")
@click.option("--coarse-width", type=click.IntRange(2), metavar="CHANNELS", help="Fine channels a coarse channel, if the file does not tell.")
@click.option("--polarisation", type=click.IntRange(0), metavar="I", help="Product of files with several (default 0, total power).")
@click.option("--dry-run", is_flag=True, help="Only look at the files and tell what would be done.")
@json_option
def ingest(data: tuple[Path, ...], corpus: Path, as_json: bool, serial: bool, dry_run: bool, **flags: Any) -> None:
    """Read filterbank files and add what they hold to a corpus.

    DATA are files (.h5, .hdf5, .fil) and folders, which are walked. What the corpus holds already is not read again; an
    interrupted ingest goes on where it was.
    """
    config = Config.load(corpus, overrides(flags))
    progress = Show()
    try:
        report = run_ingest(data, corpus, config=config, serial=serial, dry_run=dry_run, listener=progress)
    finally:
        progress.close()
    if as_json:
        click.echo(json.dumps(report.to_json(), indent=1))
    else:
        click.echo("\n".join(summary(report)))
    sys.exit(report.exit_code)


def overrides(flags: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Sort flags into the tables of ``corpus.toml``."""
    window, step = flags.get("window"), flags.get("step")
    scan = {key: flags.get(key) for key in ("window", "false_alarm", "keep_all", "coarse_width", "polarisation")}
    scan |= {"step": step or window, "window_is_given": True if window else None,
             "f_start_mhz": flags.get("f_start"), "f_stop_mhz": flags.get("f_stop")}
    return {
        "scan": scan,
        "encoder": {"name": flags.get("encoder"), "weights": flags.get("weights")},
        "run": {key: flags.get(key) for key in ("scheduler", "workers", "embed_on")},
    }


def summary(report: RunReport) -> list[str]:
    """Tell in a few lines what a run did, and what is wrong with which file."""
    count = Counter(r.status for r in report.reports)
    lines = [f"{len(report.reports)} files: {count['done']} done, {count['skipped']} skipped, {count['failed']} failed, "
             f"{count['busy']} busy"]
    if report.windows_seen:
        masked = sum(r.windows_masked for r in report.reports)
        lines += [
            f"{report.windows_seen:,} windows seen, {report.windows_kept:,} kept "
            f"({100 * report.windows_kept / report.windows_seen:.2f} %), {masked:,} masked",
            f"{report.bytes_decoded / 1e9:.2f} GB decoded in {duration(report.elapsed_s)}: "
            f"{report.windows_seen / report.elapsed_s:,.0f} windows/s, {report.bytes_decoded / report.elapsed_s / 1e6:,.0f} MB/s",
            "seconds in tasks: read {0.read_s:.1f}, scan {0.scan_s:.1f}, embed {0.embed_s:.1f}, write {0.write_s:.1f}".format(
                report.timing),
        ]
    for r in report.reports:
        if r.reason is not None:
            lines.append(f"{r.status:<8}{r.reason:<20} {shown(r.message or r.path)!s}" + _elsewhere(r.also_at))
        elif report.dry_run:
            lines.append(f"{r.message:<28} {shown(r.path)}")
    return lines


def _elsewhere(paths: tuple[str, ...]) -> str:
    return f" (also {', '.join(map(shown, paths))})" if paths else ""
