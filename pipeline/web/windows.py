"""The routes of ``/api/v1`` that give kept windows: one as JSON, codes, an array or a picture; several with pixels."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from pipeline.errors import QueryError
from pipeline.plot import png_of_hits
from pipeline.web import sources
from pipeline.web.archive import Pinned
from pipeline.web.code_bytes import BYTES, bytes_of
from pipeline.web.npy import npy_of
from pipeline.web.parts import ItsParts
from pipeline.web.records import WindowBatch, WindowDetail
from pipeline.web.scales import sent
from pipeline.web.window_hit import hit_of_window

routes = APIRouter(prefix="/api/v1", tags=["windows"])
MAX_TOGETHER = 64
"""Windows that may be asked for at once."""


def _pinned(source_id: str, number: int, parts: ItsParts) -> Pinned:
    """Return the generation that is shown, in which the window is kept; else raise :class:`QueryError`."""
    pinned = parts.archive.pinned
    if source_id not in pinned.opened.manifest.sources:
        raise QueryError(f"{source_id[:200]}: the corpus has no source of this id")
    sources.row_of_window(pinned, source_id, number)
    return pinned


ItsPinned = Annotated[Pinned, Depends(_pinned)]


@routes.get("/windows")
def windows_together(parts: ItsParts, name: Annotated[list[str], Query(min_length=1, max_length=MAX_TOGETHER)],
                     ) -> WindowBatch:
    """Kept windows with their pixels, in one answer. Each ``name`` is ``SOURCE/NUMBER``; up to 64 may be given."""
    return sources.windows_named(parts.archive.pinned, name)


@routes.get("/windows/{source_id}/{number}.json")
def window_json(source_id: str, number: int, pinned: ItsPinned) -> WindowDetail:
    """What the corpus knows of a kept window."""
    return sources.window_detail(pinned, source_id, number)


@routes.get("/windows/{source_id}/{number}.bin", response_class=Response, responses=BYTES)
def window_bin(request: Request, source_id: str, number: int, pinned: ItsPinned) -> Response:
    """Codes of a kept window: uint8, spectra × channels, as in tiles. ``.json`` says what a code means."""
    detail = sources.window_detail(pinned, source_id, number)
    codes = pinned.opened.cutouts(source_id, sources.row_of_window(pinned, source_id, number))[0]
    return bytes_of(request, sent(codes), f"{source_id}-{number}", (detail.channel_start, detail.channel_stop),
                    detail.scale)


@routes.get("/windows/{source_id}/{number}.npy", response_class=Response, responses=BYTES)
def window_npy(source_id: str, number: int, pinned: ItsPinned) -> Response:
    """Power of a kept window as a NumPy file: float64, spectra × channels, noise at 1, masked pixels NaN."""
    return Response(npy_of(pinned.corpus.power_of(f"{source_id}/{number}")), media_type="application/octet-stream",
                    headers={"Content-Disposition": f'attachment; filename="window-{number}.npy"'})


@routes.get("/windows/{source_id}/{number}.png", response_class=Response,
            responses={200: {"content": {"image/png": {}}}})
async def window_png(source_id: str, number: int, pinned: ItsPinned, parts: ItsParts) -> Response:
    """A picture of a kept window, with axes."""

    def work() -> bytes:
        power = pinned.corpus.power_of(f"{source_id}/{number}")
        return png_of_hits([hit_of_window(pinned, source_id, number)], [power])

    return Response(await parts.drawing.run(work), media_type="image/png")
