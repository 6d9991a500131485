"""``lookalike doctor``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.cluster_options import cluster_options
from pipeline.cli.options import json_option
from pipeline.cli.output import put, put_json
from pipeline.support.text import counted, shown

if TYPE_CHECKING:
    from pipeline.doctor import Check, Diagnosis


@click.command()
@click.option("--corpus", type=click.Path(path_type=Path), metavar="DIR",
              help="Folder of the corpus, which all are to see and write into; it need not be there yet.")
@click.option("--data", type=click.Path(path_type=Path), multiple=True, metavar="DIR",
              help="Folder or file that all are to see; can be repeated.")
@cluster_options
@json_option
def doctor(corpus: Path | None, data: tuple[Path, ...], place: Mapping[str, Any], as_json: bool) -> None:
    """Check this machine and every worker of a cluster.

    Whether versions are equal everywhere, a compressed file decodes, the
    encoder loads and gives the same vectors, GPUs are seen, corpus and data are
    there under the same path, clocks agree, and there is enough of disk, memory
    and open files. For each fault it says what to do; the exit code is 1 if
    something will not work.
    """
    from pipeline.doctor import doctor as run_doctor

    found = run_doctor(corpus, data, place=place)
    if as_json:
        put_json(found.to_json())
    else:
        put("\n".join(table(found)))
    sys.exit(found.exit_code)


def table(found: Diagnosis) -> list[str]:
    """Tell of every check; of workers that say the same, once."""
    alike: dict[tuple[str, str, str, str], list[Check]] = {}
    for check in found.checks:
        where = "here" if check.where == "here" else "worker"
        alike.setdefault((where, check.name, check.status, check.message), []).append(check)
    lines = []
    for (where, name, status, message), checks in alike.items():
        at = "here" if where == "here" else _places([check.where for check in checks], found.workers)
        lines.append(f"{status:<5}{name:<12} {at}: {shown(message)}")
        if checks[0].remedy:
            lines.append(f"{'':<17} {shown(checks[0].remedy)}")
    counts = {status: sum(check.status == status for check in found.checks) for status in ("ok", "warn", "fail")}
    on = f"this machine and {counted(found.workers, 'worker')}" if found.workers else "this machine"
    return [*lines, f"{on}: {counts['ok']:,} ok, {counts['warn']:,} to look at, {counts['fail']:,} failed"]


def _places(addresses: list[str], workers: int) -> str:
    if len(addresses) == workers > 1:
        return f"all {workers:,} workers"
    more = f" and {len(addresses) - 3:,} more" if len(addresses) > 3 else ""
    return ", ".join(addresses[:3]) + more
