"""The routes of ``/api/v1`` that give what pages list as files: csv, vot (VOTable), parquet, json or html."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from pipeline.export import NIGHT_COLUMNS, ROW_COLUMNS, TABLE_FORMATS, Table, encoded_table
from pipeline.search import list_scan, list_windows, table_of_scans, table_of_windows
from pipeline.support.text import counted
from pipeline.web.exports import MEDIA_TYPES
from pipeline.web.looking import Mhz, scan_in
from pipeline.web.nights import nights_in
from pipeline.web.parts import ItsParts, Parts
from pipeline.web.problems import Problem
from pipeline.web.sources import scans_with

routes = APIRouter(prefix="/api/v1", tags=["tables"])
MAX_NIGHTS = 10_000
MAX_WINDOWS = 100_000
"""Windows that a file holds."""
TRUNCATED = "X-Truncated"
"""Header of a file that does not hold all rows: which ones it holds. Formats that have room for it say it, too."""
FILES: dict[int | str, dict[str, Any]] = {200: {"content": {MEDIA_TYPES[form]: {} for form in TABLE_FORMATS}}}


@routes.get("/sources.{form}", response_class=Response, responses=FILES)
async def sources_table(form: str, parts: ItsParts, q: str = "") -> Response:
    """All scans as a file. ``q`` is a part of an id, a target or a file name."""
    pinned = parts.archive.pinned

    def table() -> Table:
        scans = [list_scan(pinned.opened, scan_id) for scan_id in scans_with(pinned, q)]
        return table_of_scans([replace(one, file=pinned.short_paths.of_file(one.file)) for one in scans])

    return await file_of(parts, "scans", form, table)


@routes.get("/sources/{source_id}/windows.{form}", response_class=Response, responses=FILES)
async def windows_table(source_id: str, form: str, parts: ItsParts, f_start_mhz: Mhz = None, f_stop_mhz: Mhz = None,
                        limit: Annotated[int, Query(ge=1, le=MAX_WINDOWS)] = MAX_WINDOWS) -> Response:
    """Kept windows that touch a range of frequency, as a file. If there are more than ``limit``, those with the
    highest SNR; the header ``X-Truncated`` and the file, apart from CSV, then say so.
    """
    pinned = parts.archive.pinned
    scan_id = scan_in(pinned, source_id)

    def table() -> Table:
        windows, are_more = list_windows(pinned.opened, scan_id, f_start_mhz, f_stop_mhz, limit)
        words = f"only the {counted(len(windows), 'window')} with the highest SNR; there are more in this range"
        return _cut(table_of_windows(windows, scan_id), words if are_more else "")

    return await file_of(parts, f"windows-{scan_id}", form, table)


@routes.get("/families.{form}", response_class=Response, responses=FILES)
async def families_table(form: str, parts: ItsParts, min_windows: Annotated[int, Query(ge=1)] = 1) -> Response:
    """All families as a file, as ``lookalike families --csv`` lists them."""
    corpus = parts.archive.pinned.corpus
    return await file_of(parts, "families", form, lambda: corpus.families(min_windows=min_windows).table())


@routes.get("/query-rows/{table_id}.{form}", response_class=Response, responses=FILES)
async def rows_table(table_id: str, form: str, parts: ItsParts) -> Response:
    """The rows of a hit table that was sent, with the verdicts that were asked for so far."""
    sent = parts.tables.get(table_id)
    rows = [sent.answers[number] for number in sorted(sent.answers)]
    return await file_of(parts, "rows", form, lambda: Table(
        name="rows", description=f"What resembles the rows of {sent.name}", columns=ROW_COLUMNS, rows=rows,
        about={"rows of the table": f"{len(sent.table.rows) + len(sent.table.unusable):,}"}))


@routes.get("/nights.{form}", response_class=Response, responses=FILES)
async def nights_table(form: str, parts: ItsParts) -> Response:
    """Nightly runs as a file, the last one first: at most 10,000."""
    def table() -> Table:
        found = nights_in(parts.settings.reports, MAX_NIGHTS)
        words = f"only the last {counted(len(found.nights), 'night')} of {found.total:,}"
        return _cut(Table(name="nights", description="Nightly runs", columns=NIGHT_COLUMNS,
                          rows=[one.model_dump() for one in found.nights]),
                    words if found.total > len(found.nights) else "")

    return await file_of(parts, "nights", form, table)


def _cut(table: Table, words: str) -> Table:
    """Return a table that says which rows it holds, if these are not all."""
    return replace(table, about={**table.about, "truncated": words}) if words else table


async def file_of(parts: Parts, name: str, form: str, table: Callable[[], Table]) -> Response:
    """Return a table as a file; raise :class:`Problem` if its format is not offered."""
    if form not in TABLE_FORMATS:
        raise Problem(404, "no_such_format", f"this list is not given as .{form[:20]}",
                      f"use one of {', '.join(TABLE_FORMATS)}")

    def work() -> tuple[bytes, str]:
        made = table()
        return encoded_table(made, form), made.about.get("truncated", "")

    content, truncated = await parts.exporting.run(work)
    return Response(content, media_type=MEDIA_TYPES[form], headers={
        "Content-Disposition": f'attachment; filename="lookalike-{name}.{form}"',
        **({TRUNCATED: truncated} if truncated else {})})
