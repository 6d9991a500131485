"""The routes of ``/api/v1`` that give what pages list as files: csv, vot (VOTable), parquet, json or html."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from pipeline.export import NIGHT_COLUMNS, ROW_COLUMNS, TABLE_FORMATS, Table, encoded_table
from pipeline.search import list_scan, list_windows, table_of_scans, table_of_windows
from pipeline.web.exports import MEDIA_TYPES
from pipeline.web.looking import Mhz, scan_in
from pipeline.web.nights import nights_in
from pipeline.web.parts import ItsParts, Parts
from pipeline.web.problems import Problem
from pipeline.web.sources import scans_with

routes = APIRouter(prefix="/api/v1", tags=["tables"])
MAX_NIGHTS = 10_000
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
                        limit: Annotated[int, Query(ge=1, le=100_000)] = 100_000) -> Response:
    """Kept windows that touch a range of frequency, as a file."""
    pinned = parts.archive.pinned
    scan_id = scan_in(pinned, source_id)
    return await file_of(parts, f"windows-{scan_id}", form, lambda: table_of_windows(
        list_windows(pinned.opened, scan_id, f_start_mhz, f_stop_mhz, limit)[0], scan_id))


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
    """Nightly runs as a file, the last one first."""
    return await file_of(parts, "nights", form, lambda: Table(
        name="nights", description="Nightly runs", columns=NIGHT_COLUMNS,
        rows=[one.model_dump() for one in nights_in(parts.settings.reports, MAX_NIGHTS).nights]))


async def file_of(parts: Parts, name: str, form: str, table: Callable[[], Table]) -> Response:
    """Return a table as a file; raise :class:`Problem` if its format is not offered."""
    if form not in TABLE_FORMATS:
        raise Problem(404, "no_such_format", f"this list is not given as .{form[:20]}",
                      f"use one of {', '.join(TABLE_FORMATS)}")
    content = await parts.exporting.run(lambda: encoded_table(table(), form))
    return Response(content, media_type=MEDIA_TYPES[form], headers={
        "Content-Disposition": f'attachment; filename="lookalike-{name}.{form}"'})
