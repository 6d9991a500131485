"""The routes of ``/api/v1`` that show the corpus: status, generation, scans, tiles, known interference, sessions."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import BaseModel
from starlette.concurrency import run_in_threadpool

from pipeline.errors import QueryError
from pipeline.web import sources
from pipeline.web.answers import GenerationAnswer, SessionList, StatusAnswer
from pipeline.web.archive import Pinned
from pipeline.web.code_bytes import BYTES, bytes_of
from pipeline.web.parts import ItsParts
from pipeline.web.records import KnownBands, SourceDetail, SourcePage, WindowPage
from pipeline.web.tiles import scale_of, tile_of

routes = APIRouter(prefix="/api/v1")
Mhz = Annotated[float | None, Query(ge=-1e9, le=1e9, allow_inf_nan=False)]

Level = Annotated[int, Path(ge=-99, le=99)]  # a cell has 4 to the power of the level channels


class GenerationBody(BaseModel):
    """Which generation to show."""

    generation: int


@routes.get("/status", tags=["corpus"], responses={200: {"model": StatusAnswer}})
def status(request: Request, parts: ItsParts) -> dict[str, Any]:
    """Counts of the corpus, as ``lookalike status --json`` prints them, the generations, and who asks."""
    person = request.state.person
    return {**parts.archive.status(), "person": {"name": person.name, "role": person.role}}


@routes.post("/generation", tags=["corpus"])
def generation(body: GenerationBody, parts: ItsParts) -> GenerationAnswer:
    """Show the newest generation, whose number must be at least the given one."""
    pinned = parts.archive.move_to(body.generation)
    return GenerationAnswer(generation=pinned.generation, newer_generation=parts.archive.newer())


@routes.get("/known", tags=["corpus"])
def known(f_start_mhz: Mhz = None, f_stop_mhz: Mhz = None) -> KnownBands:
    """Bands of known interference that touch a range of frequency."""
    return sources.bands_in(f_start_mhz, f_stop_mhz)


@routes.get("/sessions", tags=["corpus"], responses={200: {"model": SessionList}})
def sessions(parts: ItsParts) -> dict[str, list[dict[str, Any]]]:
    """Scans that were taken one after another, and where the telescope pointed."""
    return {"sessions": [{"name": one.name, "is_cadence": one.is_cadence, "scans": [
        asdict(scan) for scan in one.scans]} for one in parts.archive.sessions()]}


@routes.get("/sources", tags=["sources"])
def source_list(parts: ItsParts, cursor: str = "", limit: Annotated[int, Query(ge=1, le=1000)] = 100,
                q: str = "") -> SourcePage:
    """Scans by id. ``q`` is a part of an id, a target or a file name."""
    return sources.source_page(parts.archive.pinned, cursor, limit, q)


@routes.get("/sources/{source_id}", tags=["sources"])
def source(source_id: str, parts: ItsParts) -> SourceDetail:
    """One scan, with the levels of its tiles and the scans of its session."""
    pinned = parts.archive.pinned
    return sources.detail_of(parts.archive, pinned, scan_in(pinned, source_id), parts.decoded)


@routes.get("/sources/{source_id}/windows", tags=["sources"])
def windows_of_source(source_id: str, parts: ItsParts, f_start_mhz: Mhz = None, f_stop_mhz: Mhz = None,
                      limit: Annotated[int, Query(ge=1, le=10_000)] = 1000) -> WindowPage:
    """Kept windows that touch a range of frequency."""
    pinned = parts.archive.pinned
    return sources.windows_in(pinned, scan_in(pinned, source_id), f_start_mhz, f_stop_mhz, limit)


@routes.get("/sources/{source_id}/tiles/{level}/{number}", tags=["sources"], response_class=Response, responses=BYTES)
async def tile(request: Request, source_id: str, level: Level, number: int, parts: ItsParts,
               kind: Literal["max", "mean"] = "max", spectra: Annotated[int | None, Query(ge=1)] = None,
               block: Annotated[int, Query(ge=0)] = 0) -> Response:
    """Codes of one tile: uint8, rows × columns, row by row. The first row is the earliest; frequency ascends; 255 is
    masked. With fewer ``spectra`` in a row than usual, a tile is one ``block`` of 64 rows. Headers say what it covers.
    """
    pinned = parts.archive.pinned
    scan_id = scan_in(pinned, source_id)

    def work() -> Response:
        made = tile_of(pinned, scan_id, level, number, kind, parts.decoded, spectra, block)
        return bytes_of(request, made.codes, f"{pinned.generation}-{scan_id}-{level}-{number}-{kind}-{spectra}-{block}",
                        (made.channel_start, made.channel_stop), scale_of(pinned, scan_id),
                        (made.spectrum_start, made.spectrum_stop))

    return await (parts.drawing.run(work) if level < 0 else run_in_threadpool(work))


def scan_in(pinned: Pinned, source_id: str) -> str:
    """Return the id of a scan, which must be complete; raise :class:`QueryError` if there is none."""
    if source_id not in pinned.scans_held:
        raise QueryError(f"{source_id[:200]}: the corpus has no scan of this id")
    return source_id
