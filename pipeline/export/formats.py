"""Formats of a result, and the file name suffixes that choose them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pipeline.errors import ConfigError
from pipeline.export.csv_table import csv_of
from pipeline.export.page import page_of, table_page_of
from pipeline.export.parquet import parquet_of
from pipeline.export.table import Table, table_of_hits
from pipeline.export.votable import votable_of
from pipeline.model import Result
from pipeline.support.disk_faults import cause_of
from pipeline.support.durable import write_atomic
from pipeline.support.text import csv_text, shown

PICTURES = ("eps", "jpeg", "jpg", "pdf", "pgf", "png", "ps", "raw", "rgba", "svg", "svgz", "tif", "tiff", "webp")
"""Formats of pictures: those of matplotlib."""
PLOTS = (*PICTURES, "html")
"""Formats that show waterfalls."""
_MAKE: Mapping[str, Callable[[Result], bytes]] = {
    "vot": lambda result: votable_of(table_of_hits(result)),
    "votable": lambda result: votable_of(table_of_hits(result)),
    "xml": lambda result: votable_of(table_of_hits(result)),
    "parquet": lambda result: parquet_of(table_of_hits(result)),
    "csv": lambda result: csv_of(result).encode("utf-8", "backslashreplace"),
    "json": lambda result: json.dumps(result.to_json(), indent=1, allow_nan=False).encode() + b"\n",
    "html": page_of,
}
_MAKE_TABLE: Mapping[str, Callable[[Table], bytes]] = {
    "csv": lambda table: csv_text(tuple(table.columns), table.rows).encode("utf-8", "backslashreplace"),
    "vot": votable_of,
    "parquet": parquet_of,
    "json": lambda table: json.dumps(table.to_json(), indent=1, allow_nan=False).encode() + b"\n",
    "html": table_page_of,
}
TABLE_FORMATS = tuple(_MAKE_TABLE)
"""Formats of tables of other things than hits."""
FORMATS = (*_MAKE, *PICTURES)
"""Every format. The suffix of a file name is a dot and a format."""


def format_of(path: str | Path, formats: Sequence[str] = FORMATS) -> str:
    """Return the format that the suffix of a file name chooses.

    Raises
    ------
    ConfigError
        It is none of ``formats``.
    """
    suffix = Path(path).suffix.lower().removeprefix(".")
    if suffix not in formats:
        what = f"a .{suffix}" if suffix else "a file without suffix"
        raise ConfigError(f"{shown(path)}: cannot write {what}; use one of {', '.join(formats)}")
    return suffix


def encoded(result: Result, kind: str) -> bytes:
    """Return a result in a format, as the bytes of a file.

    Parameters
    ----------
    result : SearchResult
    kind : str
        One of :data:`FORMATS`.

    Raises
    ------
    ConfigError
        There is no such format, or it needs a package that is not installed.
    CorpusDamaged
        Pictures are asked for, and the cutouts of a hit are missing or altered.
    """
    if kind not in FORMATS:
        raise ConfigError(f"{kind!r} is no format of a result; use one of {', '.join(FORMATS)}")
    return _MAKE[kind](result) if kind in _MAKE else result.picture(kind)


def encoded_table(table: Table, kind: str) -> bytes:
    """Return a table in a format, as the bytes of a file.

    Raises
    ------
    ConfigError
        ``kind`` is none of :data:`TABLE_FORMATS`, or it needs a package that is not installed.
    """
    if kind not in _MAKE_TABLE:
        raise ConfigError(f"{kind!r} is no format of a table; use one of {', '.join(TABLE_FORMATS)}")
    return _MAKE_TABLE[kind](table)


def save(result: Result, path: str | Path) -> Path:
    """Write a result to a file, in the format that its suffix chooses. A file that exists is replaced.

    Returns
    -------
    Path
        ``path``.

    Raises
    ------
    ConfigError
        The suffix chooses no format, the format needs a package that is not installed, or the file cannot be written.
    """
    return _written(path, encoded(result, format_of(path)))


def save_table(table: Table, path: str | Path) -> Path:
    """Write a table to a file; see :meth:`pipeline.export.Table.save`."""
    return _written(path, encoded_table(table, format_of(path, TABLE_FORMATS)))


def _written(path: str | Path, content: bytes) -> Path:
    path = Path(path)
    try:
        write_atomic(path, content)
    except OSError as error:
        raise ConfigError(f"{shown(path)}: cannot be written ({cause_of(error)}); choose another file") from error
    return path
