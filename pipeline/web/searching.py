"""The routes of ``/api/v1`` that search, and give results in several forms."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Request, Response

from pipeline.web.answers import QueryRows, SearchAnswer
from pipeline.web.exports import EXPORTS, export_of
from pipeline.web.npy import array_of
from pipeline.web.parts import ItsParts
from pipeline.web.problems import Problem
from pipeline.web.search_body import SearchBody, request_of

routes = APIRouter(prefix="/api/v1", tags=["searches"])


@routes.post("/searches", responses={200: {"model": SearchAnswer}})
async def search(body: SearchBody, parts: ItsParts) -> dict[str, Any]:  # type: ignore[valid-type]
    """Find windows that look like a pattern. The body has the parameters of ``SearchRequest``.

    ``file`` names a source of the corpus, or a file below a folder that the server was given. The result is kept for a
    while under its ``id``.
    """
    asked: dict[str, Any] = body.model_dump(exclude_unset=True)  # type: ignore[attr-defined]
    pinned = parts.archive.pinned

    def work() -> dict[str, Any]:
        request = request_of(parts.archive, pinned, parts.uploads, asked)
        return parts.results.add(pinned, pinned.corpus.answer(request), asked).to_json()

    return await parts.pool.run(work)


@routes.get("/searches/{result_id}.{form}", response_class=Response, responses={200: {
    "content": {media_type: {} for media_type, _ in EXPORTS.values()}}})
async def export(result_id: str, form: Literal["json", "csv", "html", "png", "vot"], parts: ItsParts) -> Response:
    """The result of a search as a file."""
    kept = parts.results.get(result_id)
    return await parts.drawing.run(lambda: export_of(kept, form))


@routes.get("/searches/{result_id}", responses={200: {"model": SearchAnswer}})
def result(result_id: str, parts: ItsParts) -> dict[str, Any]:
    """The result of a search that is still kept, as the search returned it."""
    return parts.results.get(result_id).to_json()


@routes.post("/query-rows", responses={200: {"model": QueryRows}}, openapi_extra={"requestBody": {
    "required": True, "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}})
async def query_rows(request: Request, parts: ItsParts, name: str = "") -> dict[str, Any]:
    """Read a file that holds patterns, and say of each row how it can be searched for, or why not.

    ``name`` is the name of the file, whose ending tells what it is. ``request`` of a row is the body of a search.
    """
    content = await request.body()
    if not name.lower().endswith(".npy"):
        raise Problem(501, "not_available", f"{name[-80:] or 'the file'}: only .npy files are read yet")

    def work() -> dict[str, Any]:
        power = array_of(content)
        return {"kind": "array", "rows": [{
            "row": 1, "request": {"upload": parts.uploads.add(power)}, "reason": "",
            "words": f"an array of {power.shape[0]} spectra × {power.shape[1]} channels"}]}

    return await parts.drawing.run(work)
