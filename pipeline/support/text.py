"""Formats names and numbers for people."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

FORMULA_STARTS = ("=", "+", "-", "@", "＝", "＋", "－", "＠")
"""Characters at the beginning of a cell that make a spreadsheet take it for a formula."""
SMALLEST_CHANCE = 1e-6
"""Smallest number by chance that is shown to people; below it, they read that it is smaller."""


def shown(text: str | Path) -> str:
    """Return a path, or text that contains paths, as one printable line.

    Line breaks, control characters and bytes that are not UTF-8 appear escaped: ``a\\nb``, ``\\xff``.
    """
    return "".join(letter if letter.isprintable() else _escaped(letter) for letter in str(text))


def cell(text: str) -> str:
    """Return text for a cell of a CSV file, so that no spreadsheet runs it and no terminal obeys it.

    Text that begins as a formula does, with ``=``, ``+``, ``-`` or ``@``, gets an apostrophe in front. Control
    characters, and marks that change the direction of writing, appear escaped. Line breaks stay.
    """
    escaped = "".join(letter if _may_be_in_cell(letter) else _escaped(letter) for letter in text)
    return f"'{escaped}" if escaped.lstrip(" \r\n").startswith(FORMULA_STARTS) else escaped


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Return rows as CSV (RFC 4180) with a header line.

    Numbers are written as numbers, text as :func:`cell` says.
    """
    import csv  # here, so that commands which print none start without it

    text = StringIO()
    writer = csv.DictWriter(text, columns)
    writer.writeheader()
    for row in rows:
        writer.writerow({name: cell(value) if isinstance(value, str) else value for name, value in row.items()})
    return text.getvalue()


def listed(names: Iterable[str], most: int = 10) -> str:
    """Join up to ``most`` names for a message. If there are more, append how many."""
    every = list(names)
    return ", ".join(every[:most]) + (f" and {len(every) - most:,} more" if len(every) > most else "")


def number_runs(numbers: Sequence[int]) -> str:
    """Write ascending numbers with runs joined: 1–3, 5."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    return ", ".join("–".join(map(str, run)) for run in runs)


def counted(count: int, noun: str) -> str:
    """Return a count with its noun: 1 file, 1,234 files."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def size(count: float) -> str:
    """Return a number of bytes with three digits: 512 bytes, 295 kB, 6.00 GB."""
    for unit, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        value = count / unit
        if value >= 0.9995:  # what would be rounded to a whole unit
            return f"{value:,.{0 if value >= 99.95 else 1 if value >= 9.995 else 2}f} {name}"
    return f"{count:,.0f} bytes"


def short_number(value: float) -> str:
    """Return a number with two digits: 0.40, 12, 3.1e-07. It must not be negative."""
    if value >= 10 or value == 0:
        return f"{value:,.0f}"
    return f"{value:.2g}" if value < 1e-3 else f"{value:.{max(0, 1 - math.floor(math.log10(value)))}f}"


def short_chance(value: float, *, extrapolated: bool | None = False) -> str:
    """Return an expected number, or a share, of windows that are there by chance: 0.40, ~3.1e-05, <1e-06.

    ~ marks an extrapolated number. How far a number lies below :data:`SMALLEST_CHANCE`, no sample can tell.
    """
    if value < SMALLEST_CHANCE:
        return f"<{SMALLEST_CHANCE:.0e}"
    return f"{'~' if extrapolated else ''}{short_number(value)}"


def _may_be_in_cell(letter: str) -> bool:
    """Return True for characters that a cell keeps: printable ones, line breaks, and bytes that are not UTF-8.

    The output escapes such bytes later.
    """
    return letter.isprintable() or letter in "\r\n" or "\udc80" <= letter <= "\udcff"


def _escaped(letter: str) -> str:
    """Return the escape sequence of a character that cannot be printed."""
    if "\udc80" <= letter <= "\udcff":  # how Python represents a byte that is not UTF-8
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return letter.encode("unicode_escape").decode("ascii")
