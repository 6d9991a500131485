"""The option ``--in`` of ``lookalike search``: a search of files that are in no corpus."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import Any

import click

from pipeline.cli.output import remark
from pipeline.cli.report import run_with_progress
from pipeline.support.progress_line import duration
from pipeline.support.text import counted, shown, size

Command = Callable[..., Any]


def inside_option(command: Command) -> Command:
    """Add the option to a command. If it is given, the command gets the corpus of the cache, and a filter."""
    @wraps(command)
    def with_files(*, inside: tuple[Path, ...], corpus: Path, filters: Any, **values: Any) -> Any:
        if not inside:
            return command(corpus=corpus, filters=filters, **values)
        context = click.get_current_context()
        if context.get_parameter_source("corpus") is not click.core.ParameterSource.DEFAULT:
            raise click.UsageError("choose one of --corpus and --in")
        if filters.only_file:
            raise click.UsageError("--only-file does not go with --in, which names the files")
        from dataclasses import replace

        root, ids = _scanned(inside, filters.only_mhz)
        return command(corpus=root, filters=replace(filters, only_file=ids), inside=True, **values)

    return click.option(
        "--in", "inside", multiple=True, type=click.Path(path_type=Path), metavar="FILE_OR_FOLDER",
        help="Search in this file, or in the files of this folder, instead of a corpus. May be repeated. What is not "
             "in the cache yet is scanned first; the cache lies in ~/.cache/lookalike/scans, which only you can read. "
             "With --only-mhz, only the coarse channels around these frequencies are scanned."
    )(with_files)


def _scanned(paths: tuple[Path, ...], only_mhz: tuple[tuple[float, float], ...]) -> tuple[Path, tuple[str, ...]]:
    """Scan files into the cache, and say what was done; return the corpus, and the ids of the files' scans."""
    from pipeline.run import scan_into_cache

    found = run_with_progress(partial(scan_into_cache, paths, only_mhz=only_mhz))
    report = found.report
    if found.emptied_bytes:
        remark(f"cache emptied: it had grown to {size(found.emptied_bytes)}")
    if found.scanned:
        between = "from {} to {} MHz ".format(*found.band_mhz) if found.band_mhz else ""
        remark(f"scanned {counted(found.scanned, 'file')} {between}in {duration(report.elapsed_s)}: "
               f"{report.windows_kept:,} of {counted(report.windows_seen, 'window')} "
               f"{'holds' if report.windows_seen == 1 else 'hold'} a signal; they stay in "
               f"{shown(found.root)}")
    else:
        remark(f"{counted(len(found.source_ids), 'scan')} taken from the cache, {shown(found.root)}")
    for one in report.reports:
        if one.reason is not None and one.reason != "DUPLICATE":
            remark(f"not searched: {shown(one.path)}: {shown(one.message)}")
    return found.root, found.source_ids
