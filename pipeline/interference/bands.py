"""The table of known interference: its rows, and which of them a range of frequencies touches.

The table of the package is ``bands.csv`` in this folder. Each row has a source, such as the interface document of a
navigation system or the Radio Regulations of the ITU (ITU RR). A user adds rows in a file of their own,
:func:`user_table`. A row there replaces the package's row of the same name.

A band says who may send there. It does not say that a signal comes from them.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cache
from importlib import resources
from pathlib import Path

from pipeline.errors import ConfigError
from pipeline.model import Header
from pipeline.support.text import listed
from pipeline.support.user_files import read_user_table
from pipeline.user_settings import user_file

TABLE = "bands.csv"
COLUMNS = ("name", "kind", "f_start_mhz", "f_stop_mhz", "telescope", "source", "note")
"""Columns of the table. The last three may be left out, or be empty."""
REQUIRED = COLUMNS[:4]


@dataclass(frozen=True, slots=True)
class KnownBand:
    """A row of the table: a range of frequencies in which interference is known."""

    name: str
    kind: str
    """Kind of emitter, such as ``navigation``; ``receiver`` for a filter of a telescope."""
    f_start_mhz: float
    """Lower end, in MHz."""
    f_stop_mhz: float
    """Upper end, in MHz."""
    telescope: str = ""
    """Name of the only telescope that it applies to, as in source ids; empty for all."""
    source: str = ""
    """Document that gives the ends."""
    note: str = ""


def user_table() -> Path:
    """Return the path of the user's own table, which may not exist: ``known-bands.csv`` beside ``config.toml``."""
    return user_file().with_name("known-bands.csv")


def known_bands() -> tuple[KnownBand, ...]:
    """Return the table of the package, extended by the user's own, by ascending frequency.

    Raises
    ------
    ConfigError
        The user's table cannot be read, or a row of it has a value that cannot be used.
    """
    path = user_table()
    try:
        status = path.stat()
    except FileNotFoundError:
        return _package_table()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror or error})") from error
    return _with_user_rows(path, status.st_mtime_ns, status.st_size)


def touching(
    bands: Iterable[KnownBand], f_start_mhz: float, f_stop_mhz: float, telescope: str
) -> list[KnownBand]:
    """Return those of some bands that share frequencies with a range in MHz, as a telescope sees it."""
    # in one loop: a search asks for each of its hits, and a call for each band would be slow
    return [band for band in bands if band.f_start_mhz < f_stop_mhz and f_start_mhz < band.f_stop_mhz
            and band.telescope.upper() in ("", telescope.upper())]


def names_at(
    header: Header, f_start_mhz: float, f_stop_mhz: float, bands: Sequence[KnownBand] | None = None
) -> tuple[str, ...]:
    """Return the names of the bands that a range of frequencies of a scan touches, the narrowest first.

    Parameters
    ----------
    header : Header
        Header of the scan; it names the telescope.
    f_start_mhz, f_stop_mhz : float
        Lower and upper end of the range, in MHz.
    bands : sequence of KnownBand, optional
        The table, where a caller asks about many ranges. Default: :func:`known_bands`.

    Raises
    ------
    ConfigError
        The user's own table cannot be used.
    """
    return known_names(f_start_mhz, f_stop_mhz, header.telescope, bands)


def known_names(
    f_start_mhz: float, f_stop_mhz: float, telescope: str, bands: Sequence[KnownBand] | None = None
) -> tuple[str, ...]:
    """Return what :func:`names_at` does, for a telescope that is given by its name in source ids."""
    touched = touching(known_bands() if bands is None else bands, f_start_mhz, f_stop_mhz, telescope)
    touched.sort(key=lambda band: (band.f_stop_mhz - band.f_start_mhz, band.name))
    return tuple(band.name for band in touched)


def bands_named(pattern: str) -> tuple[KnownBand, ...]:
    """Return the bands whose name or kind a pattern matches, in upper or lower case; ``*`` and ``?`` are wildcards.

    Raises
    ------
    ConfigError
        The user's own table cannot be used.
    """
    wanted = pattern.strip().lower()
    return tuple(band for band in known_bands()
                 if fnmatchcase(band.name.lower(), wanted) or fnmatchcase(band.kind.lower(), wanted))


def band_list(pattern: str) -> str:
    """Say which names there are, for a message about a pattern that matches none."""
    bands = known_bands()
    names = {name.lower(): name for band in bands for name in (band.name, band.kind)}
    wanted = pattern.strip(" *?").lower()
    near = [name for lower, name in names.items() if wanted and wanted in lower]
    near = near or [names[lower] for lower in get_close_matches(wanted, names, 3)]
    if near:
        return f"alike are {listed(map(repr, near))}"
    return f"kinds are {listed(map(repr, sorted({band.kind for band in bands})))}"


@cache
def _package_rows() -> tuple[KnownBand, ...]:
    table = resources.files(__package__).joinpath(TABLE)
    return _rows(table.read_text(encoding="utf-8").splitlines(), TABLE)


@cache
def _package_table() -> tuple[KnownBand, ...]:
    return _merged(_package_rows(), ())


@cache
def _with_user_rows(path: Path, mtime_ns: int, size_bytes: int) -> tuple[KnownBand, ...]:
    """Return the joined tables. Time of change and size are parameters so that a changed file is read again."""
    return _merged(_package_rows(), _rows(read_user_table(path), str(path)))


def _merged(package: Iterable[KnownBand], own: Iterable[KnownBand]) -> tuple[KnownBand, ...]:
    rows = {band.name: band for band in (*package, *own)}
    return tuple(sorted(rows.values(), key=lambda band: (band.f_start_mhz, band.f_stop_mhz, band.name)))


def _rows(lines: Sequence[str], path: str) -> tuple[KnownBand, ...]:
    """Read the rows of a table. Empty lines, and lines that begin with #, are comments."""
    reader = csv.reader((line if not line.startswith("#") else "" for line in lines), strict=True)
    columns: list[str] | None = None
    rows = []
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if columns is None:
                columns = _columns(cells, path)
                continue
            rows.append(_row(dict(zip(columns, map(str.strip, cells), strict=False)), len(cells) - len(columns),
                             f"{path}, line {reader.line_num}"))
    except csv.Error as error:
        raise ConfigError(f"{path}, line {reader.line_num}: is no CSV ({error})") from error
    if columns is None:
        raise ConfigError(f"{path}: has no line with the names of its columns, {','.join(COLUMNS)}")
    return tuple(rows)


def _columns(cells: Sequence[str], path: str) -> list[str]:
    columns = [cell.strip() for cell in cells]
    if unknown := sorted(set(columns) - set(COLUMNS)):
        raise ConfigError(f"{path}: unknown column {unknown[0]!r}; known: {', '.join(COLUMNS)}")
    if lacking := [name for name in REQUIRED if name not in columns]:
        raise ConfigError(f"{path}: has no column {lacking[0]!r}; the first line must name {', '.join(REQUIRED)}")
    return columns


def _row(values: dict[str, str], surplus: int, where: str) -> KnownBand:
    if surplus > 0:
        raise ConfigError(f"{where}: has more cells than columns; put text with commas in quotes")
    ends = []
    for column in ("f_start_mhz", "f_stop_mhz"):
        try:
            ends.append(float(values.get(column, "")))
        except ValueError:
            raise ConfigError(f"{where}: {column} must be a number in MHz, got {values.get(column, '')!r}") from None
    if not (math.isfinite(ends[0]) and math.isfinite(ends[1]) and ends[0] < ends[1]):
        raise ConfigError(f"{where}: f_start_mhz must be below f_stop_mhz, got {ends[0]:g} and {ends[1]:g}")
    if not values.get("name"):
        raise ConfigError(f"{where}: the name is empty")
    texts = {name: values.get(name, "") for name in ("kind", "telescope", "source", "note")}
    return KnownBand(values["name"], f_start_mhz=ends[0], f_stop_mhz=ends[1], **texts)
