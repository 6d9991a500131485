"""``lookalike doctor``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.cluster_options import cluster_options
from pipeline.cli.grouped import command
from pipeline.cli.options import json_option
from pipeline.cli.output import put, put_json
from pipeline.support.text import counted, listed, shown

if TYPE_CHECKING:
    from pipeline.doctor import Check, Diagnosis


@command()
@click.option("--corpus", type=click.Path(path_type=Path), metavar="DIR",
              help="Folder of the corpus, which every machine must be able to read and write. It may not exist yet.")
@click.option("--data", type=click.Path(path_type=Path), multiple=True, metavar="DIR",
              help="Folder or file that every machine must be able to read. May be repeated.")
@cluster_options
@json_option
def doctor(corpus: Path | None, data: tuple[Path, ...], place: Mapping[str, Any], as_json: bool) -> None:
    """Check this machine and every worker of a cluster.

    \b
    The checks are:
      - every machine has the same versions of the packages;
      - compressed files can be decoded;
      - the encoder loads, and computes the same vectors on every machine;
      - Keras finds the GPUs that workers offer;
      - corpus and data have the same paths on every machine;
      - clocks agree;
      - disk space, memory and the limit of open files suffice.

    Prints what to do about each fault. The exit code is 1 if a check fails.
    A warning ("warn") does not change the exit code.

    \b
    Example:
      lookalike doctor --corpus corpus --data /mnt/blpd7
    """
    from pipeline.config import Config
    from pipeline.doctor import doctor as run_doctor

    found = run_doctor(corpus, data, run=Config.of_user().override({"run": place}).run)
    if as_json:
        put_json(found.to_json())
    else:
        put("\n".join(table(found)))
    sys.exit(found.exit_code)


def table(found: Diagnosis) -> list[str]:
    """Return a line for every check, and its remedy. Workers with equal results share a line."""
    equal: dict[tuple[str, str, str, str], list[Check]] = {}
    for check in found.checks:
        where = "here" if check.where == "here" else "worker"
        equal.setdefault((where, check.name, check.status, check.message), []).append(check)
    lines = []
    for (where, name, status, message), checks in equal.items():
        at = "here" if where == "here" else _places([check.where for check in checks], found.workers)
        lines.append(f"{status:<5}{name:<12} {at}: {shown(message)}")
        if checks[0].remedy:
            lines.append(f"{'':<17} {shown(checks[0].remedy)}")
    counts = {status: sum(check.status == status for check in found.checks) for status in ("ok", "warn", "fail")}
    on = f"this machine and {counted(found.workers, 'worker')}" if found.workers else "this machine"
    return [*lines, f"{on}: {counts['ok']:,} ok, {counts['warn']:,} warnings, {counts['fail']:,} failed"]


def _places(addresses: list[str], workers: int) -> str:
    addresses = [*map(shown, addresses)]
    if len(addresses) == workers > 1:
        return f"all {workers:,} workers"
    return listed(addresses, 3)
