"""``lookalike ingest``."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.options import check_places, corpus_option, json_option, run_options
from pipeline.cli.output import counted, put, put_json
from pipeline.cli.progress import Show, duration
from pipeline.text import shown

if TYPE_CHECKING:
    from pipeline.model import SourceReport
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

    DATA are files (.h5, .hdf5, .fil) and folders, which are walked. What the
    corpus holds already is not read again; an interrupted ingest goes on where
    it was. What decides which windows a corpus holds (encoder, window, step,
    false alarm, range, coarse width, polarisation) stays as the first ingest
    set it; vectors of other encoders are added by lookalike embed.
    """
    _check_usage(serial, flags)
    from pipeline.config import Config
    from pipeline.run import ingest as run_ingest

    config = Config.load(corpus, overrides(flags))
    progress = Show()
    try:
        report = run_ingest(data, corpus, config=config, serial=serial, dry_run=dry_run, listener=progress)
    finally:
        progress.close()
    if as_json:
        put_json(report.to_json())
    else:
        put("\n".join(summary(report)))
    sys.exit(report.exit_code)


def _check_usage(serial: bool, flags: dict[str, Any]) -> None:
    if flags["keep_all"] and flags["false_alarm"] is not None:
        raise click.UsageError("choose one of --keep-all and --false-alarm")
    check_places(serial, flags["workers"], flags["scheduler"])


def overrides(flags: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Sort flags into the tables of ``corpus.toml``."""
    weights = flags["weights"]
    scan = ("window", "step", "false_alarm", "keep_all", "coarse_width", "polarisation")
    return {
        "scan": {key: flags[key] for key in scan} | {"f_start_mhz": flags["f_start"], "f_stop_mhz": flags["f_stop"]},
        # absolute: later runs and searches look for it from other folders
        "encoder": {"name": flags["encoder"], "weights": None if weights is None else str(weights.absolute())},
        "run": {key: flags[key] for key in ("scheduler", "workers", "embed_on")},
    }


def summary(report: RunReport) -> list[str]:
    """Tell in a few lines what a run did, and what is wrong with which file."""
    lines = [f"{counted(len(report.reports), 'file')}: {outcomes(report)}"]
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


def each(report: RunReport) -> list[str]:
    """Tell what is wrong with which file; of a dry run, what would be done with each."""
    lines = []
    for r in report.reports:
        if r.reason is not None:
            lines.append(f"{r.status:<8}{r.reason:<20} {_fault(r)}")
        elif report.dry_run:
            lines.append(f"{r.message:<23} {shown(r.path)}")
    return lines


def outcomes(report: RunReport) -> str:
    """Count files by what became, or would become, of them; those with a reason code by that, too."""
    if report.dry_run:
        counts = Counter(_plan_of(r) for r in sorted(report.reports, key=lambda r: r.reason is not None))
        return ", ".join(f"{count:,} {plan}" for plan, count in counts.items()) + "; nothing was written"
    parts = []
    for status in ("done", "skipped", "failed", "busy"):
        reports = report.by_status(status)
        reasons = Counter(str(r.reason) for r in reports if r.reason is not None)
        codes = ", ".join(f"{count:,} {reason}" for reason, count in sorted(reasons.items()))
        parts.append(f"{len(reports):,} {status}" + (f" ({codes})" if codes else ""))
    return ", ".join(parts)


def _plan_of(report: SourceReport) -> str:
    return report.message if report.reason is None else f"{report.status} ({report.reason})"


def _fault(report: SourceReport) -> str:
    """Say what is wrong with a file, and which one it is."""
    path, message = shown(report.path), shown(report.message)
    others = [shown(other) for other in report.also_at if shown(other) not in message]
    text = message if message.startswith(path) else f"{path}: {message}"
    return text + (f" (also {', '.join(others)})" if others else "")
