"""The routes of ``/api/v1`` that search, and give results in several forms."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter, Response

from pipeline.search import SearchRequest
from pipeline.web.archive import Archive, Pinned
from pipeline.web.exports import export_of
from pipeline.web.pool import Pool
from pipeline.web.results import Results, SearchBody, request_of


def router(archive: Archive, results: Results, pool: Pool) -> APIRouter:
    """Return the routes."""
    routes = APIRouter(prefix="/api/v1", tags=["searches"])

    async def answer(pinned: Pinned, request: SearchRequest, asked: dict[str, Any]) -> dict[str, Any]:
        def work() -> dict[str, Any]:
            return results.add(pinned, pinned.corpus.answer(request), asked).to_json()

        return await pool.run(work)

    @routes.post("/searches")
    async def search(body: SearchBody) -> dict[str, Any]:  # type: ignore[valid-type]
        """Find windows that look like a pattern. The body has the parameters of ``SearchRequest``.

        ``file`` names a source of the corpus, or a file below a folder that the server was given. The result is kept
        for a while under its ``id``.
        """
        asked = body.model_dump(exclude_unset=True)  # type: ignore[attr-defined]
        pinned = archive.pinned
        return await answer(pinned, request_of(archive, asked), asked)

    @routes.get("/searches/{result_id}.{form}", response_class=Response)
    def export(result_id: str, form: Literal["json", "csv", "html", "png", "vot"]) -> Response:
        """The result of a search as a file."""
        return export_of(results.get(result_id), form)

    @routes.get("/searches/{result_id}")
    def result(result_id: str) -> dict[str, Any]:
        """The result of a search that is still kept, as the search returned it."""
        return results.get(result_id).to_json()

    return routes
