"""Hit tables in CSV: events of turboSETI, and hits of hyperseti. Columns are found by their names."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from io import StringIO

from pipeline.errors import QueryError
from pipeline.hit_tables.rows import (
    BadRowError,
    HitRow,
    HitTable,
    ScanHint,
    UnusableRow,
    duration_in,
    frequency_in,
    number_in,
    optional_number,
)

EVENT_COLUMNS = frozenset({"DriftRate", "Freq", "FileID"})
"""Columns by which a table of events is recognised."""
HYPERSETI_COLUMNS = frozenset({"drift_rate", "f_start", "snr"})
"""Columns by which a table of hyperseti is recognised."""


def csv_kind(text: str) -> str:
    """Return the kind of such a table in words; an empty text if it is none."""
    try:
        names = set(next(csv.reader(StringIO(text, newline="")), ()))
    except csv.Error:
        return ""
    if names >= EVENT_COLUMNS:
        return "turboSETI event CSV"
    return "hyperseti CSV" if names >= HYPERSETI_COLUMNS else ""


def parse_csv(text: str, name: str) -> HitTable:
    """Read the rows of such a table.

    A table of events lists an event once for each scan that shows it. Its first row that can be used counts; the
    others are named.

    Parameters
    ----------
    text : str
        Content of the file, with a line of names.
    name : str
        Path of the file, for messages.

    Raises
    ------
    QueryError
        A row is no CSV.
    """
    kind = csv_kind(text)
    row_of = _event if kind == "turboSETI event CSV" else _hyperseti
    rows: list[HitRow] = []
    unusable: list[UnusableRow] = []
    first_of: dict[str, int] = {}
    for number, values in enumerate(_rows_in(text, name), start=1):
        values = {key: value for key, value in values.items() if isinstance(key, str) and isinstance(value, str)}
        event = values.get("Hit_ID", "").strip()
        if event in first_of:
            reason = f"it is the event of row {first_of[event]}, {event}, in another scan"
            unusable.append(UnusableRow(number, reason))
            continue
        try:
            rows.append(row_of(values, number))
        except BadRowError as error:
            unusable.append(UnusableRow(number, str(error)))
            continue
        if event:
            first_of[event] = number
    return HitTable(name, kind, tuple(rows), tuple(unusable))


def _rows_in(text: str, name: str) -> Iterator[dict[str, str]]:
    rows = csv.DictReader(StringIO(text, newline=""))
    try:
        yield from rows
    except csv.Error as error:
        raise QueryError(f"{name}: cannot be read beyond line {rows.line_num} ({error}); correct or remove the next "
                         "line") from error


def _event(values: Mapping[str, str], number: int) -> HitRow:
    scan = ScanHint((values.get("FileID") or "").strip().rpartition("/")[2], (values.get("Source") or "").strip(),
                    optional_number(values, "MJD"))
    name = (values.get("Hit_ID") or values.get("TopHitNum") or "").strip()
    return HitRow(number, name, frequency_in(values, "Freq"), number_in(values, "DriftRate"),
                  optional_number(values, "SNR"), scan, duration_in(values.get("obs_length", "")))


def _hyperseti(values: Mapping[str, str], number: int) -> HitRow:
    return HitRow(number, "", frequency_in(values, "f_start"), number_in(values, "drift_rate"),
                  optional_number(values, "snr"), ScanHint())
