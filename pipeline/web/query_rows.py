"""Files that people drop on a page: an array, a picture, or a hit table. Each row becomes a search."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import PurePath
from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from pipeline.errors import QueryError
from pipeline.hit_tables import HitRow, UnusableRow, parse_hit_table
from pipeline.search import RowAnswer, ScanFinder
from pipeline.support.text import shown
from pipeline.web.archive import Pinned
from pipeline.web.npy import array_of
from pipeline.web.parts import ItsParts, Parts
from pipeline.web.pictures import SUFFIXES, ItsTold, rows_of_picture
from pipeline.web.sent_answers import QueryRows, RowAnswerRecord, RowAnswers
from pipeline.web.settings import MAX_HITS
from pipeline.web.uploads import SentHitTable, Uploads

routes = APIRouter(prefix="/api/v1", tags=["searches"])
MAX_ROWS = 5000
"""Rows of a table that are listed."""
MAX_TOGETHER = 50
"""Rows of a table that are searched for at once."""


@routes.post("/query-rows", responses={200: {"model": QueryRows}}, openapi_extra={"requestBody": {
    "required": True, "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}})
async def query_rows(request: Request, parts: ItsParts, told: ItsTold, name: str = "") -> dict[str, Any]:
    """Read a file that holds patterns, and say of each row how it can be searched for, or why not.

    The file is a .npy array of power, a picture of a plot, or a hit table of turboSETI, seticore, bliss or hyperseti.
    ``name`` is its name. The other parameters say what a picture does not show, such as its width ``hz``.
    ``request`` of a row is the body of the search for it. ``left_out`` counts rows beyond those that are listed.
    """
    content = await request.body()
    short = shown(PurePath(name).name[-100:]) or "the file"
    if name.lower().endswith(".npy"):
        return await parts.drawing.run(lambda: _of_array(content, parts.uploads))
    if name.lower().endswith(SUFFIXES):
        return await parts.drawing.run(lambda: rows_of_picture(content, short, told, parts.archive.pinned,
                                                               parts.uploads, parts.pictures))
    return await parts.drawing.run(lambda: _of_table(content, short, parts))


class RowsBody(BaseModel):
    """Rows of a hit table to search for together, and how."""

    model_config = ConfigDict(extra="forbid")
    rows: list[int] = Field(min_length=1, max_length=MAX_TOGETHER)
    """Numbers of the rows, from 1."""
    k: int = Field(24, ge=1, le=MAX_HITS)
    on_off: bool = True


@routes.post("/query-rows/{table_id}/answers", responses={200: {"model": RowAnswers}})
async def row_answers(table_id: str, body: RowsBody, parts: ItsParts) -> dict[str, Any]:
    """Search for rows of a hit table that was sent, all together, and give one verdict a row."""
    sent, pinned, wanted = parts.tables.get(table_id), parts.archive.pinned, set(body.rows)
    table = sent.table
    chosen = replace(table, rows=tuple(row for row in table.rows if row.number in wanted),
                     unusable=tuple(row for row in table.unusable if row.number in wanted))

    def work() -> dict[str, Any]:
        found = list(pinned.corpus.search_rows(chosen, k=body.k, on_off=body.on_off))
        records = [_record_of(one, pinned) for one in found]
        sent.answers.update({record["row"]: record for record in records})
        return {"generation": pinned.generation, "answers": [
            {**{name: value for name, value in record.items() if name in RowAnswerRecord.model_fields},
             "words": pinned.shorten(one.words), "words_of_best": one.words_of_best}
            for record, one in zip(records, found, strict=True)]}

    return await parts.pool.run(work)


def _record_of(answer: RowAnswer, pinned: Pinned) -> dict[str, Any]:
    """Return an answer that names files by short paths."""
    record = answer.to_json(hits=False)
    return {**record, "scan": pinned.shorten(record["scan"]), "note": pinned.shorten(record["note"]),
            "reason": pinned.shorten(record["reason"]), "best_file": pinned.short_paths.of_file(record["best_file"])}


def _of_array(content: bytes, uploads: Uploads) -> dict[str, Any]:
    power = array_of(content)
    words = f"an array of {power.shape[0]} spectra × {power.shape[1]} channels"
    return {"kind": "array", "left_out": 0,
            "rows": [{"row": 1, "words": words, "request": {"upload": uploads.add(power)}, "reason": ""}]}


def _of_table(content: bytes, name: str, parts: Parts) -> dict[str, Any]:
    table, pinned = parse_hit_table(content, name), parts.archive.pinned
    named = f"{name}\n".encode("ascii", "backslashreplace")  # somebody else may send the same under another name
    table_id = parts.tables.put(hashlib.sha256(named + content).hexdigest()[:20], SentHitTable(table, name),
                                4 * len(content), replaces=False)
    finder = ScanFinder(pinned.opened)  # without a folder: it looks among the sources of the corpus alone
    every: list[HitRow | UnusableRow] = [*table.rows, *table.unusable]
    every.sort(key=lambda one: one.number)
    return {"kind": table.kind, "table": table_id, "left_out": max(0, len(every) - MAX_ROWS), "rows": [
        _of_row(one, finder, parts) if isinstance(one, HitRow)
        else {"row": one.number, "words": "", "request": None, "reason": one.reason} for one in every[:MAX_ROWS]]}


def _of_row(row: HitRow, finder: ScanFinder, parts: Parts) -> dict[str, Any]:
    """Return a row as the range of its scan; else as the pixels that the table holds; else with a reason."""
    snr = "" if row.snr is None else f", SNR {row.snr:.1f}"
    record: dict[str, Any] = {"row": row.number, "request": None, "reason": "",
                              "words": f"{row.f_mhz:.6f} MHz, {row.drift_hz_per_s:+.3f} Hz/s{snr}; {row.scan}"}
    try:
        scan = finder.scan_of(row)
        record["request"] = {"file": scan.file, "f_start_mhz": scan.f_start_mhz, "f_stop_mhz": scan.f_stop_mhz}
    except QueryError as error:
        if row.pixels is None:
            record["reason"] = parts.archive.pinned.shorten(str(error))
        else:
            record["request"] = {"upload": parts.uploads.add(row.pixels.power.astype(float), row)}
    return record
