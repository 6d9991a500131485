"""Labels as a table: the columns of an export, and reading them again."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from pipeline.errors import LabelError
from pipeline.labels.entry import Label, check_label, checked, new_id, user
from pipeline.support.clock import now_s
from pipeline.support.records import record_of
from pipeline.support.text import FORMULA_STARTS
from pipeline.support.user_files import read_user_table
from pipeline.views import View

LABEL_COLUMNS = ("id", "label", "scan", "view", "channel_start", "channel_stop", "spectrum_start", "spectrum_stop",
                 "f_start_mhz", "f_stop_mhz", "mjd", "who", "time")
"""Columns of an export."""
_OPTIONAL = ("id", "who", "time")
MAX_CSV_BYTES = 1 << 28
"""Largest size of a file that is imported."""


def labels_of_csv(path: Path) -> list[Label]:
    """Read labels from a CSV file with the columns of an export.

    ``id`` is ignored: imported labels get ids of their own. Without ``who`` or ``time``, they are this user's, of now.

    Raises
    ------
    LabelError
        A column is missing, or a row cannot be used; the message names its line.
    ConfigError
        The file cannot be read.
    """
    lines = read_user_table(path, MAX_CSV_BYTES)
    reader = csv.DictReader(lines, strict=True)
    try:
        if lacking := [name for name in LABEL_COLUMNS if name not in {*(reader.fieldnames or ()), *_OPTIONAL}]:
            raise LabelError(f"{path}: has no column {lacking[0]!r}; its first line must name "
                             f"{', '.join(name for name in LABEL_COLUMNS if name not in _OPTIONAL)}")
        return list(_labels(reader, path))
    except csv.Error as error:
        raise LabelError(f"{path}, line {reader.line_num}: is no CSV ({error})") from error


def _labels(reader: csv.DictReader[str], path: Path) -> Iterator[Label]:
    action, now, person = new_id(), now_s(), user()
    for row in reader:
        try:
            yield _label({name: _text(row[name]) for name in LABEL_COLUMNS if name in row}, action, now, person)
        except ValueError as error:
            raise LabelError(f"{path}, line {reader.line_num}: {error}") from error


def _label(row: dict[str, str], action: str, now: float, person: str) -> Label:
    """Make a label of a row. Raise ``ValueError`` if a value cannot be used."""
    channels = [_whole(row, name) for name in ("channel_start", "channel_stop", "spectrum_start", "spectrum_stop")]
    at_s = _unix_s(row["time"]) if row.get("time") else now
    label = record_of(Label, {
        "id": new_id(), "action": action, "text": checked(row["label"], "label"),
        "who": checked(row.get("who") or person, "name of a person"), "at_s": at_s,
        "place": {"scan": row["scan"], "view": View.named(row["view"]).name, "channel_start": channels[0],
                  "channel_stop": channels[1], "spectrum_start": channels[2], "spectrum_stop": channels[3]},
        **{name: _number(row, name) for name in ("f_start_mhz", "f_stop_mhz", "mjd")},
    })
    check_label(label)
    return label


def _unix_s(text: str) -> float:
    """Return a time in Unix seconds. It is UTC unless it names another zone."""
    when = datetime.fromisoformat(text)
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def _whole(row: dict[str, str], name: str) -> int:
    if not row[name].isascii() or not row[name].isdecimal():
        raise ValueError(f"{name} {row[name]!r} is no whole number")
    return int(row[name])


def _number(row: dict[str, str], name: str) -> float:
    try:
        return float(row[name])
    except ValueError:
        raise ValueError(f"{name} {row[name]!r} is no number") from None


def _text(value: str | None) -> str:
    """Return a cell without the apostrophe that an export puts before what a spreadsheet would run."""
    value = (value or "").strip()
    return value[1:] if value[:1] == "'" and value[1:].lstrip().startswith(FORMULA_STARTS) else value
