"""Reads a hit table of any kind. Its content, not its name, says of which kind it is."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import QueryError
from pipeline.hit_tables.csv_tables import csv_kind, parse_csv
from pipeline.hit_tables.dat import is_dat, parse_dat
from pipeline.hit_tables.hits import is_hits, parse_hits
from pipeline.hit_tables.rows import HitTable
from pipeline.support.regular_files import read_file
from pipeline.support.text import size

MAX_TABLE_BYTES = 1 << 28
"""Largest size of a table."""
KINDS = ".dat of turboSETI, seticore or bliss, .hits of seticore, CSV of turboSETI's events or of hyperseti"


def read_hit_table(path: Path) -> HitTable:
    """Read a hit table from a file.

    Raises
    ------
    QueryError
        The file cannot be read, is too large, or is no hit table of a known kind.
    ConfigError
        The table is a ``.hits`` file, and pycapnp is not installed.
    """
    try:
        data = read_file(path, MAX_TABLE_BYTES, is_text=False)
    except OSError as error:
        raise QueryError(f"{path}: cannot be read ({error.strerror or error})") from error
    return parse_hit_table(data, str(path))


def parse_hit_table(data: bytes, name: str) -> HitTable:
    """Read a hit table from bytes.

    Parameters
    ----------
    data : bytes
        Content of the file.
    name : str
        Path of the file, or another name of it, for messages.

    Raises
    ------
    QueryError
        The bytes are too many, or no hit table of a known kind.
    ConfigError
        The table is a ``.hits`` file, and pycapnp is not installed.
    """
    if len(data) > MAX_TABLE_BYTES:
        raise QueryError(f"{name}: has {size(len(data))}, and a hit table may have {size(MAX_TABLE_BYTES)}; divide it")
    if b"\0" in data[:4096]:
        if is_hits(data):
            return parse_hits(data, name)
        raise QueryError(f"{name}: is no hit table: give one of {KINDS}")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise QueryError(f"{name}: is no hit table, because it is not UTF-8 text ({error.reason} at byte {error.start})"
                         f"; give one of {KINDS}") from error
    if is_dat(text):
        return parse_dat(text, name)
    if csv_kind(text):
        return parse_csv(text, name)
    raise QueryError(f"{name}: is no hit table: give one of {KINDS}")
