"""``lookalike families``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.grouped import command
from pipeline.cli.options import corpus_option, json_option
from pipeline.cli.output import name_unwritable, put, put_csv, put_json, remark
from pipeline.support.text import counted, shown

if TYPE_CHECKING:
    from pipeline.model import Window
    from pipeline.search import Families, FamilyMembers

MAX_TARGETS = 3
"""Largest number of targets that a line names."""


@command(groups={
    "The list": ("--again", "--no-update", "--new-since", "--min-windows"),
    "One family": ("-k", "--name", "--label"),
})
@click.argument("family", required=False)
@corpus_option
@click.option("--again", is_flag=True,
              help="Group all windows again. Each group gets the id of the family with which it shares most "
                   "windows.")
@click.option("--no-update", is_flag=True, help="Only list. Do not put new windows into families.")
@click.option("--new-since", metavar="DATE|GENERATION",
              help="Only families first seen on this date (UTC, such as 2026-05-01) or later, or first found in this "
                   "generation of the corpus or later.")
@click.option("--min-windows", type=click.IntRange(1), default=1, metavar="N",
              help="Only families of at least N windows.")
@click.option("-k", "k", type=click.IntRange(1), default=20, show_default=True, metavar="N",
              help="Maximum number of windows of FAMILY that are listed, those most like its exemplar. "
                   "--csv lists all.")
@click.option("--name", metavar="TEXT", help="Give FAMILY a name. An empty one takes it away.")
@click.option("--label", metavar="TEXT", help="Give FAMILY a label, which others may share. An empty one takes it "
                                              "away.")
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values.")
@click.option("--plot", type=click.Path(path_type=Path, dir_okay=False), metavar="OUT.png",
              help="Draw the exemplar of FAMILY and the windows most like it.")
def families(
    family: str | None, corpus: Path, again: bool, no_update: bool, new_since: str | None, min_windows: int, k: int,
    name: str | None, label: str | None, as_json: bool, as_csv: bool, plot: Path | None,
) -> None:
    """Group signals that look alike into lasting families.

    A family is a group of at least three windows that look alike, probably of
    one emitter or of emitters of one kind. Without FAMILY, all families are
    listed. Windows that were added since the last time are put into families
    first. Those that were in one stay there, so ids such as F12 stay the same.
    Families lie beside the corpus, in the folder CORPUS-families.

    With FAMILY, an id or a name, one family is shown: its windows, its targets,
    and whether its frequencies within a scan are multiples of one spacing, as
    those of harmonics are. p is the share of 199 random drawings in which some
    spacing fits as well.

    \b
    Example:
      lookalike families --corpus corpus --new-since 2026-05-01
      lookalike families F12 --corpus corpus --plot F12.png
    """
    _check(family, again, no_update, new_since, name, label, as_json, as_csv, plot)
    if family is None:
        _list(corpus, again, no_update, new_since, min_windows, as_json, as_csv)
    else:
        _show(family, corpus, None if as_csv else k, name, label, as_json, as_csv, plot)


def _check(
    family: str | None, again: bool, no_update: bool, new_since: str | None, name: str | None, label: str | None,
    as_json: bool, as_csv: bool, plot: Path | None,
) -> None:
    """Raise a usage error for options that do not fit together."""
    if as_json and as_csv:
        raise click.UsageError("choose one of --json and --csv")
    if again and no_update:
        raise click.UsageError("choose one of --again and --no-update")
    if family is None and (name is not None or label is not None or plot is not None):
        raise click.UsageError("--name, --label and --plot need a FAMILY")
    if family is not None and (again or no_update or new_since is not None):
        raise click.UsageError("--again, --no-update and --new-since are for the list, without FAMILY")


def _list(
    corpus: Path, again: bool, no_update: bool, new_since: str | None, min_windows: int, as_json: bool, as_csv: bool
) -> None:
    from pipeline.run import find_families
    from pipeline.search import open_corpus

    if not no_update:
        found = find_families(corpus, again=again)
        if found.judged:
            remark(f"{counted(found.judged, 'window')} judged in {found.elapsed_s:.1f} s: "
                   f"{counted(len(found.new), 'new family').replace('familys', 'families')}, {len(found.grown):,} "
                   "grown")
    listed = open_corpus(corpus).families(new_since, min_windows)
    if as_json:
        put_json(listed.to_json())
    elif as_csv:
        put_csv(listed.table())
    else:
        put("\n".join(map(shown, lines(listed))))


def _show(
    family: str, corpus: Path, k: int | None, name: str | None, label: str | None, as_json: bool, as_csv: bool,
    plot: Path | None,
) -> None:
    from pipeline.run import name_family
    from pipeline.search import open_corpus

    if name is not None or label is not None:
        family = name_family(corpus, family, name=name, label=label).id
    one = open_corpus(corpus).family(family, k)
    if plot is not None:
        with name_unwritable(plot):
            one.plot(plot)
        remark(f"picture: {shown(plot)}")
    if as_json:
        put_json(one.to_json())
    elif as_csv:
        put_csv(one.table())
    else:
        put("\n".join(map(shown, lines_of(one))))


def lines(listed: Families) -> list[str]:
    """Return families as aligned lines of text, those with most windows first."""
    families = "family" if len(listed) == 1 else "families"
    out = [f"{len(listed):,} {families}; {counted(listed.without, 'window')} in none; generation "
           f"{listed.generation} of the corpus, by {listed.encoder}"]
    if listed.not_judged:
        out.append(f"{counted(listed.not_judged, 'window')} were added later and are not judged yet")
    if listed:
        out.append(f"{'family':<8} {'windows':>7} {'scans':>6} {'first seen':>16} {'last seen':>16} {'MHz':>25}  "
                   "targets")
    for one in listed:
        record = one.to_json()
        out.append(f"{one.id:<8} {one.windows:>7,} {one.scans:>6,} {_minute(record['first_seen'])} "
                   f"{_minute(record['last_seen'])} {one.f_start_mhz:>12.6f}–{one.f_stop_mhz:<12.6f}  "
                   f"{_targets([name for name, _ in one.targets])}{f'  view {one.view}' if one.view else ''}"
                   f"{_called(one.name, one.label)}")
    return out


def lines_of(one: FamilyMembers) -> list[str]:
    """Return one family as lines of text: what is known of it, its targets, and its windows."""
    family = one.family
    record = family.to_json()
    out = [f"{family.id}{_called(family.name, family.label)}: {counted(family.windows, 'window')} in "
           f"{counted(family.scans, 'scan')}{f', view {family.view}' if family.view else ''}",
           f"first seen {_minute(record['first_seen'])}, last seen {_minute(record['last_seen'])}; "
           f"{family.f_start_mhz:.6f} to {family.f_stop_mhz:.6f} MHz; exemplar {_name(family.exemplar)}",
           f"found in generation {family.generation}, on {record['found'][:10]}", str(one.spacing)]
    if one.known:
        out.append(f"known interference there: {', '.join(one.known)}")
    out.append(f"{'windows':>7} {'scans':>6} {'first MJD':>12} {'last MJD':>12} {'MHz':>25}  target")
    out += [f"{row['windows']:>7,} {row['scans']:>6,} {row['first_seen_mjd']:12.5f} {row['last_seen_mjd']:12.5f} "
            f"{row['f_start_mhz']:>12.6f}–{row['f_stop_mhz']:<12.6f}  {row['target']}" for row in one.by_target]
    out.append(f"{'':>3} {'score':>6} {'MHz':>25} {'MJD':>12} {'SNR':>7}  window")
    out += [f"{hit.rank:>3} {hit.score:6.3f} {hit.window.f_start_mhz:>12.6f}–{hit.window.f_stop_mhz:<12.6f} "
            f"{hit.window.mjd:12.5f} {hit.snr:7.1f}  {hit.source_id}/{hit.window.number}" for hit in one.members]
    if len(one.members) < family.windows:
        out.append(f"… and {family.windows - len(one.members):,} more: -k N lists N, --csv all")
    return out


def _called(name: str, label: str) -> str:
    """Return the user's name and label of a family, as they follow its line."""
    return (f"  “{name}”" if name else "") + (f"  [{label}]" if label else "")


def _name(window: Window) -> str:
    return f"{window.source_id}/{window.number}"


def _targets(names: list[Any]) -> str:
    more = f" and {len(names) - MAX_TARGETS:,} more" if len(names) > MAX_TARGETS else ""
    return ", ".join(names[:MAX_TARGETS]) + more


def _minute(utc: str) -> str:
    """Return a UTC time to the minute, such as ``2026-05-01 22:10``."""
    return utc[:16].replace('T', ' ')
