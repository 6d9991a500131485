"""``lookalike known``."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from pipeline.cli.grouped import command
from pipeline.cli.options import json_option
from pipeline.cli.output import put, put_json
from pipeline.errors import QueryError
from pipeline.support.text import shown

if TYPE_CHECKING:
    from pipeline.interference import KnownBand


@command()
@click.option("--at", "mhz", metavar="MHZ|LOW:HIGH", help="Only bands that touch this frequency or range, in MHz.")
@click.option("--name", "pattern", default="*", metavar="NAME",
              help="Only bands of this name or kind. * and ? are wildcards.")
@json_option
def known(mhz: str | None, pattern: str, as_json: bool) -> None:
    """List known interference by frequency.

    The bands are allocations and emitters, such as navigation satellites and mobile
    phones, and filters of receivers. A search names the bands that each hit
    touches; search --not-known leaves such hits out. A band says who may send
    there, not that a signal comes from them.

    Add rows of your own in known-bands.csv, beside your settings file (see
    lookalike --help). Its first line names the columns: name, kind, f_start_mhz,
    f_stop_mhz, and if you like telescope, source, note. A row replaces the row of
    the same name.

    \b
    Example:
      lookalike known --at 1575.42
    """
    from pipeline.interference import band_list, bands_named

    bands = bands_named(pattern)
    if not bands:
        raise QueryError(f"--name {pattern}: no band has this name or kind; {band_list(pattern)}")
    if mhz is not None:
        low, high = _ends(mhz)
        bands = tuple(band for band in bands if low <= band.f_stop_mhz and band.f_start_mhz <= high)
    if as_json:
        put_json({"bands": [asdict(band) for band in bands]})
    else:
        put("\n".join(map(shown, lines(bands))))


def lines(bands: tuple[KnownBand, ...]) -> list[str]:
    """Return bands as aligned lines."""
    if not bands:
        return ["no known band there"]
    name, kind = (max(len(text) for text in texts) for texts in (
        [band.name for band in bands], [band.kind for band in bands]))
    return [(f"{band.f_start_mhz:>10.4f}–{band.f_stop_mhz:<10.4f} {band.name:<{name}}  {band.kind:<{kind}}  "
             f"{_rest(band)}").rstrip() for band in bands]


def _rest(band: KnownBand) -> str:
    only = f"only {band.telescope}" if band.telescope else ""
    return "; ".join(part for part in (only, band.note, band.source) if part)


def _ends(mhz: str) -> tuple[float, float]:
    from pipeline.search.filter_values import parse_mhz

    if ":" in mhz:
        return parse_mhz(mhz)
    try:
        return (float(mhz), float(mhz))
    except ValueError:
        raise QueryError(f"--at {mhz!r} is no frequency in MHz: give one such as 1575.42, or a range such as 1570:1580"
                         ) from None
