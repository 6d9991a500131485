"""The routes of ``/api/v1`` that give the reports of nightly runs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from pipeline.support.regular_files import read_file
from pipeline.web.answers import NightList, NightRecord
from pipeline.web.parts import ItsParts
from pipeline.web.problems import Problem
from pipeline.web.report_paths import shortened, shortener
from pipeline.web.short_paths import shortened_page

routes = APIRouter(prefix="/api/v1", tags=["nights"])
MAX_REPORT_BYTES = 64 << 20
_OF_DAMAGED = "it cannot be mended; the page of the whole report may be left"
_NAME = re.compile(r"\d{4}-\d{2}-\d{2}(-\d{1,4})?")
_POLICY = "sandbox; default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""A report has its pictures and its style in itself, and no script."""


@routes.get("/nights")
def night_list(parts: ItsParts, limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> NightList:
    """Nightly runs, the last one first."""
    return nights_in(parts.settings.reports, limit)


def nights_in(folder: Path, limit: int) -> NightList:
    """Return the last nightly runs that have a report in a folder."""
    try:
        names = sorted((path.stem for path in folder.glob("*.json") if _NAME.fullmatch(path.stem)), key=_order,
                       reverse=True)
    except OSError:  # the folder of the reports cannot be read
        names = []
    return NightList(nights=[_record(folder, name) for name in names[:limit]], total=len(names))


@routes.get("/nights/{name}.html", response_class=Response, responses={200: {"content": {"text/html": {}}}})
def night_page(name: str, parts: ItsParts) -> Response:
    """The report of a night as a page, which names files without the folders that they lie in."""
    folder = parts.settings.reports
    page = _read(folder, name, "html").decode("utf-8", "replace")
    try:
        shorten = shortener(_parsed(folder, name))
    except Problem:  # its page can be read nevertheless
        shorten = shortener({})
    return Response(shortened_page(page, shorten), media_type="text/html; charset=utf-8",
                    headers={"Content-Security-Policy": _POLICY})


@routes.get("/nights/{name}")
def night(name: str, parts: ItsParts) -> dict[str, Any]:
    """The report of a night, as ``lookalike nightly --json`` prints it, without the folders that files lie in."""
    report = _parsed(parts.settings.reports, name)
    short: dict[str, Any] = shortened(report, shortener(report))
    return short


def _order(name: str) -> tuple[str, int]:
    return name[:10], int(name[11:] or 1)


def _record(folder: Path, name: str) -> NightRecord:
    try:
        report = _parsed(folder, name)
    except Problem as problem:
        return NightRecord(name=name, headline=f"cannot be read: {problem.message}", began="", ended="", exit_code=None)
    code = report.get("exit_code")
    code = int(code) if isinstance(code, int) and 0 <= code < 256 else None  # as processes give them
    return NightRecord(name=name, headline=str(report.get("headline", "")), began=str(report.get("began", "")),
                       ended=str(report.get("ended", "")), exit_code=code)


def _parsed(folder: Path, name: str) -> dict[str, Any]:
    try:
        report = json.loads(_read(folder, name, "json"))
    except (ValueError, RecursionError) as error:
        raise Problem(500, "damaged_report", f"the report of {name} is damaged ({error})", _OF_DAMAGED) from error
    if not isinstance(report, dict):
        raise Problem(500, "damaged_report", f"the report of {name} is no report", _OF_DAMAGED)
    return report


def _read(folder: Path, name: str, form: str) -> bytes:
    if not _NAME.fullmatch(name):
        raise Problem(404, "not_found", "there is no night of this name")
    try:
        return read_file(folder / f"{name}.{form}", MAX_REPORT_BYTES)
    except OSError as error:
        raise Problem(404, "not_found", f"there is no report of {name} ({error.strerror or error})") from error
