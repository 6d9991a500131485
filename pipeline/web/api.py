"""The routes of ``/api/v1`` that only look: status, scans, tiles, windows, known interference, sessions."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel

from pipeline.errors import QueryError
from pipeline.plot import png_of_hits
from pipeline.web import sources
from pipeline.web.archive import Archive, Pinned
from pipeline.web.decoded import DecodedChannels
from pipeline.web.npy import npy_of
from pipeline.web.records import KnownBands, SourceDetail, SourcePage, WindowDetail, WindowPage
from pipeline.web.scales import sent
from pipeline.web.tiles import scale_of, tile_of
from pipeline.web.window_hit import hit_of_window

IMMUTABLE = "private, max-age=31536000, immutable"
Mhz = Annotated[float | None, Query(ge=-1e9, le=1e9, allow_inf_nan=False)]
BYTES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}}


class GenerationBody(BaseModel):
    """Which generation to show."""

    generation: int


def router(archive: Archive, decoded: DecodedChannels) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/api/v1")

    @routes.get("/status", tags=["corpus"])
    def status(request: Request) -> dict[str, Any]:
        """Counts of the corpus, as ``lookalike status --json`` prints them, the generations, and who asks."""
        person = request.state.person
        return {**archive.status(), "person": {"name": person.name, "role": person.role}}

    @routes.post("/generation", tags=["corpus"])
    def generation(body: GenerationBody) -> dict[str, Any]:
        """Show the newest generation, whose number must be at least the given one."""
        archive.move_to(body.generation)
        return {"generation": archive.pinned.generation, "newer_generation": archive.newer()}

    @routes.get("/sources", tags=["sources"])
    def source_list(cursor: str = "", limit: Annotated[int, Query(ge=1, le=1000)] = 100, q: str = "") -> SourcePage:
        """Scans by id. ``q`` is a part of an id, a target or a file name."""
        return sources.source_page(archive.pinned, cursor, limit, q)

    @routes.get("/sources/{source_id}", tags=["sources"])
    def source(source_id: str) -> SourceDetail:
        """One scan, with the levels of its tiles and the scans of its session."""
        pinned = archive.pinned
        return sources.detail_of(archive, pinned, scan_in(pinned, source_id), decoded)

    @routes.get("/sources/{source_id}/windows", tags=["sources"])
    def windows(source_id: str, f_start_mhz: Mhz = None, f_stop_mhz: Mhz = None,
                limit: Annotated[int, Query(ge=1, le=10_000)] = 1000) -> WindowPage:
        """Kept windows that touch a range of frequency."""
        pinned = archive.pinned
        return sources.windows_in(pinned, scan_in(pinned, source_id), f_start_mhz, f_stop_mhz, limit)

    @routes.get("/sources/{source_id}/tiles/{level}/{number}", tags=["sources"], response_class=Response,
                responses=BYTES)
    def tile(request: Request, source_id: str, level: int, number: int,
             kind: Literal["max", "mean"] = "max") -> Response:
        """Codes of one tile: uint8, rows × columns, row by row. The first row is the first spectrum; frequency
        ascends; 255 is masked. Headers say which channels it covers.
        """
        pinned = archive.pinned
        scan_id = scan_in(pinned, source_id)
        etag = f'"{pinned.generation}-{scan_id}-{level}-{number}-{kind}"'
        made = tile_of(pinned, scan_id, level, number, kind, decoded)
        scale = scale_of(pinned, scan_id)
        return _bytes(request, made.codes, etag, {
            "X-Channel-Start": str(made.channel_start), "X-Channel-Stop": str(made.channel_stop),
            "X-Scale": f"asinh; low_db={scale.low_db:g}; high_db={scale.high_db:g}; "
                       f"noise_spectra={scale.noise_spectra:g}"})

    @routes.get("/known", tags=["corpus"])
    def known(f_start_mhz: Mhz = None, f_stop_mhz: Mhz = None) -> KnownBands:
        """Bands of known interference that touch a range of frequency."""
        return sources.bands_in(f_start_mhz, f_stop_mhz)

    @routes.get("/sessions", tags=["corpus"])
    def sessions() -> dict[str, list[dict[str, Any]]]:
        """Scans that were taken one after another, and where the telescope pointed."""
        return {"sessions": [{"name": one.name, "is_cadence": one.is_cadence, "scans": [
            asdict(scan) for scan in one.scans]} for one in archive.sessions()]}

    @routes.get("/windows/{source_id}/{number}.json", tags=["windows"])
    def window_json(source_id: str, number: int) -> WindowDetail:
        """What the corpus knows of a kept window."""
        pinned = archive.pinned
        return sources.window_detail(pinned, source_in(pinned, source_id), number)

    @routes.get("/windows/{source_id}/{number}.bin", tags=["windows"], response_class=Response, responses=BYTES)
    def window_bin(request: Request, source_id: str, number: int) -> Response:
        """Codes of a kept window: uint8, spectra × channels, as in tiles. ``.json`` says what a code means."""
        pinned = archive.pinned
        source_id = source_in(pinned, source_id)
        row = sources.row_of_window(pinned, source_id, number)
        record = sources.window_record(pinned, source_id, number, 0.0)
        scale = sources.window_detail(pinned, source_id, number).scale
        assert scale is not None
        return _bytes(request, sent(pinned.opened.cutouts(source_id, row)[0]), f'"{source_id}-{number}"', {
            "X-Channel-Start": str(record.channel_start), "X-Channel-Stop": str(record.channel_stop),
            "X-Scale": f"asinh; low_db={scale.low_db:g}; high_db={scale.high_db:g}; "
                       f"noise_spectra={scale.noise_spectra:g}"})

    @routes.get("/windows/{source_id}/{number}.npy", tags=["windows"], response_class=Response, responses=BYTES)
    def window_npy(source_id: str, number: int) -> Response:
        """Power of a kept window as a NumPy file: float64, spectra × channels, noise at 1, masked pixels NaN."""
        pinned = archive.pinned
        source_id = source_in(pinned, source_id)
        sources.row_of_window(pinned, source_id, number)
        return Response(npy_of(pinned.corpus.power_of(f"{source_id}/{number}")), media_type="application/octet-stream",
                        headers={"Content-Disposition": f'attachment; filename="{number}.npy"'})

    @routes.get("/windows/{source_id}/{number}.png", tags=["windows"], response_class=Response,
                responses={200: {"content": {"image/png": {}}}})
    def window_png(source_id: str, number: int) -> Response:
        """A picture of a kept window, with axes."""
        pinned = archive.pinned
        source_id = source_in(pinned, source_id)
        sources.row_of_window(pinned, source_id, number)
        hit = hit_of_window(pinned, source_id, number)
        return Response(png_of_hits([hit], [pinned.corpus.power_of(f"{source_id}/{number}")]), media_type="image/png")

    return routes


def source_in(pinned: Pinned, source_id: str) -> str:
    """Return the id of a source, which must be complete: a scan or a view of one."""
    if source_id not in pinned.opened.manifest.sources:
        raise QueryError(f"{source_id[:200]}: the corpus has no source of this id")
    return source_id


def scan_in(pinned: Pinned, source_id: str) -> str:
    """Return the id of a scan, which must be complete."""
    if source_id not in pinned.scans_held:
        raise QueryError(f"{source_id[:200]}: the corpus has no scan of this id")
    return source_id


def _bytes(request: Request, codes: np.ndarray[Any, np.dtype[np.uint8]], etag: str,
           headers: dict[str, str]) -> Response:
    """Return codes with their shape; or only that they are unchanged, if the browser has them."""
    every = {**headers, "X-Rows": str(codes.shape[0]), "X-Columns": str(codes.shape[1]), "ETag": etag,
             "Cache-Control": IMMUTABLE}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=every)
    return Response(codes.tobytes(), media_type="application/octet-stream", headers=every)


