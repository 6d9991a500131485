"""Results of searches as files."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping
from io import StringIO

from fastapi import Response

from pipeline.search import HIT_COLUMNS
from pipeline.support.text import cell
from pipeline.web.problems import Problem
from pipeline.web.results import KeptResult


def _json(kept: KeptResult) -> bytes:
    return json.dumps(kept.result.to_json(), indent=1, allow_nan=False).encode()


def _csv(kept: KeptResult) -> bytes:
    text, note = StringIO(), kept.result.description.note
    writer = csv.DictWriter(text, (*HIT_COLUMNS, "note"))
    writer.writeheader()
    for row in kept.result.rows():
        writer.writerow({name: cell(value) if isinstance(value, str) else value
                         for name, value in (*row.items(), ("note", note))})
    return text.getvalue().encode("utf-8", "backslashreplace")


def _html(kept: KeptResult) -> bytes:
    body = kept.result._repr_html_()
    head = '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>Look-alikes</title></head><body>\n'
    return f"{head}{body}\n</body></html>\n".encode("utf-8", "backslashreplace")


def _png(kept: KeptResult) -> bytes:
    drawn: bytes = kept.result.plot().png
    return drawn


EXPORTS: Mapping[str, tuple[str, Callable[[KeptResult], bytes]]] = {
    "json": ("application/json", _json),
    "csv": ("text/csv; charset=utf-8", _csv),
    "html": ("text/html; charset=utf-8", _html),
    "png": ("image/png", _png),
}
"""Form → media type, and what makes the file."""


def export_of(kept: KeptResult, form: str) -> Response:
    """Return a result as a file of some form."""
    if form not in EXPORTS:
        raise Problem(501, "not_available", f"results are not written as .{form} yet",
                      f"one of {', '.join(EXPORTS)}")
    media_type, make = EXPORTS[form]
    place = "inline" if form == "png" else "attachment"
    return Response(make(kept), media_type=media_type, headers={
        "Content-Disposition": f'{place}; filename="lookalikes-{kept.id}.{form}"'})
