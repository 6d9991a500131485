"""Hits as comma-separated values."""

from __future__ import annotations

from pipeline.export.columns import COLUMNS
from pipeline.model import Result
from pipeline.support.text import csv_text


def csv_of(result: Result) -> str:
    """Return hits as CSV (RFC 4180) with a header line.

    Numbers are written as numbers, text as :func:`pipeline.support.text.cell` says. The last column repeats the note on
    the answer in every row: a comment line would be no row to a spreadsheet, and an error to most readers of CSV.
    """
    return csv_text((*COLUMNS, "note"), ({**row, "note": result.description.note} for row in result.rows()))
