"""How names and numbers are shown to people."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


def shown(text: str | Path) -> str:
    """Return a path, or text that names paths, as one printable line.

    Line breaks, controls and bytes that are no UTF-8 appear escaped: ``a\\nb``, ``\\xff``.
    """
    return "".join(letter if letter.isprintable() else _escaped(letter) for letter in str(text))


def listed(names: Iterable[str], most: int = 10) -> str:
    """Join names for a message: so many of them as a person reads, and how many more there are."""
    every = list(names)
    return ", ".join(every[:most]) + (f" and {len(every) - most} more" if len(every) > most else "")


def counted(count: int, noun: str) -> str:
    """Return so many of something: 1 file, 1,234 files."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _escaped(letter: str) -> str:
    if "\udc80" <= letter <= "\udcff":  # how Python spells a byte of a name that is no UTF-8
        return f"\\x{ord(letter) - 0xDC00:02x}"
    return letter.encode("unicode_escape").decode("ascii")
