"""Files that people drop on a page: an array, or a hit table of another program. Each row becomes a search."""

from __future__ import annotations

from pathlib import PurePath
from typing import Any

from fastapi import APIRouter, Request

from pipeline.errors import QueryError
from pipeline.hit_tables import HitRow, UnusableRow, parse_hit_table
from pipeline.search import ScanFinder
from pipeline.support.text import shown
from pipeline.web.answers import QueryRows
from pipeline.web.archive import Pinned
from pipeline.web.npy import array_of
from pipeline.web.parts import ItsParts
from pipeline.web.uploads import Uploads

routes = APIRouter(prefix="/api/v1", tags=["searches"])
MAX_ROWS = 5000
"""Rows of a table that are listed."""


@routes.post("/query-rows", responses={200: {"model": QueryRows}}, openapi_extra={"requestBody": {
    "required": True, "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}})
async def query_rows(request: Request, parts: ItsParts, name: str = "") -> dict[str, Any]:
    """Read a file that holds patterns, and say of each row how it can be searched for, or why not.

    The file is a .npy array of power, or a hit table of turboSETI, seticore, bliss or hyperseti. ``name`` is its name.
    ``request`` of a row is the body of the search for it. ``left_out`` counts rows beyond those that are listed.
    """
    content = await request.body()
    short = shown(PurePath(name).name[-100:]) or "the file"
    if name.lower().endswith(".npy"):
        return await parts.drawing.run(lambda: _of_array(content, parts.uploads))
    return await parts.drawing.run(lambda: _of_table(content, short, parts.archive.pinned, parts.uploads))


def _of_array(content: bytes, uploads: Uploads) -> dict[str, Any]:
    power = array_of(content)
    words = f"an array of {power.shape[0]} spectra × {power.shape[1]} channels"
    return {"kind": "array", "left_out": 0,
            "rows": [{"row": 1, "words": words, "request": {"upload": uploads.add(power)}, "reason": ""}]}


def _of_table(content: bytes, name: str, pinned: Pinned, uploads: Uploads) -> dict[str, Any]:
    table = parse_hit_table(content, name)
    finder = ScanFinder(pinned.opened)  # without a folder: it looks among the sources of the corpus alone
    every: list[HitRow | UnusableRow] = [*table.rows, *table.unusable]
    every.sort(key=lambda one: one.number)
    return {"kind": table.kind, "left_out": max(0, len(every) - MAX_ROWS), "rows": [
        _of_row(one, finder, uploads) if isinstance(one, HitRow)
        else {"row": one.number, "words": "", "request": None, "reason": one.reason} for one in every[:MAX_ROWS]]}


def _of_row(row: HitRow, finder: ScanFinder, uploads: Uploads) -> dict[str, Any]:
    """Return a row as the range of its scan; else as the pixels that the table holds; else with a reason."""
    snr = "" if row.snr is None else f", SNR {row.snr:.1f}"
    record: dict[str, Any] = {"row": row.number, "request": None, "reason": "",
                              "words": f"{row.f_mhz:.6f} MHz, {row.drift_hz_per_s:+.3f} Hz/s{snr}; {row.scan}"}
    try:
        scan = finder.scan_of(row)
        record["request"] = {"file": scan.file, "f_start_mhz": scan.f_start_mhz, "f_stop_mhz": scan.f_stop_mhz}
    except QueryError as error:
        if row.pixels is None:
            record["reason"] = str(error)
        else:
            record["request"] = {"upload": uploads.add(row.pixels.power.astype(float))}
    return record
