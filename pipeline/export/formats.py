"""Formats of a result, and the file name suffixes that choose them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pipeline.errors import ConfigError
from pipeline.export.csv_table import csv_of
from pipeline.export.page import page_of
from pipeline.export.parquet import parquet_of
from pipeline.export.votable import votable_of
from pipeline.model import Result
from pipeline.support.disk_faults import cause_of
from pipeline.support.durable import write_atomic
from pipeline.support.text import shown

PICTURES = ("eps", "jpeg", "jpg", "pdf", "pgf", "png", "ps", "raw", "rgba", "svg", "svgz", "tif", "tiff", "webp")
"""Formats of pictures: those of matplotlib."""
PLOTS = (*PICTURES, "html")
"""Formats that show waterfalls."""
_MAKE: Mapping[str, Callable[[Result], bytes]] = {
    "vot": votable_of,
    "votable": votable_of,
    "xml": votable_of,
    "parquet": parquet_of,
    "csv": lambda result: csv_of(result).encode("utf-8", "backslashreplace"),
    "json": lambda result: json.dumps(result.to_json(), indent=1, allow_nan=False).encode() + b"\n",
    "html": page_of,
}
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
    content, path = encoded(result, format_of(path)), Path(path)
    try:
        write_atomic(path, content)
    except OSError as error:
        raise ConfigError(f"{shown(path)}: cannot be written ({cause_of(error)}); choose another file") from error
    return path
