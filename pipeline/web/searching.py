"""The routes of ``/api/v1`` that search, and give results in several forms."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict

from pipeline.web.answers import SearchAnswer, ToLabelList
from pipeline.web.archive import Pinned
from pipeline.web.exports import MEDIA_TYPES, export_of
from pipeline.web.parts import ItsParts, Parts
from pipeline.web.problems import Problem
from pipeline.web.results import KeptResult
from pipeline.web.search_body import SearchBody, request_of
from pipeline.web.window_hit import hit_of_window

routes = APIRouter(prefix="/api/v1", tags=["searches"])


@routes.post("/searches", responses={200: {"model": SearchAnswer}})
async def search(body: SearchBody, parts: ItsParts) -> dict[str, Any]:  # type: ignore[valid-type]
    """Find windows that look like a pattern. The body has the parameters of ``SearchRequest``.

    ``file`` names a source of the corpus, or a file below a folder that the server was given. The result is kept for a
    while under its ``id``.
    """
    return await _answer(parts, parts.archive.pinned, body.model_dump(exclude_unset=True))  # type: ignore[attr-defined]


async def _answer(parts: Parts, pinned: Pinned, asked: dict[str, Any]) -> dict[str, Any]:
    def work() -> dict[str, Any]:
        request = request_of(parts.archive, pinned, parts.uploads, asked)
        return parts.results.add(pinned, pinned.corpus.answer(request), asked).to_json()

    return await parts.pool.run(work)


class FeedbackBody(BaseModel):
    """What is alike, and what is not: windows as ``SOURCE/NUMBER``, ``label:TEXT``, or ``FILE:MHZ–MHZ``."""

    model_config = ConfigDict(extra="forbid")
    like: list[str] = []
    unlike: list[str] = []
    on_off: bool | None = None
    """Whether the answer has ON/OFF of the hits; None for as in the search before."""


@routes.post("/searches/{result_id}/feedback", responses={200: {"model": SearchAnswer}})
async def feedback(result_id: str, body: FeedbackBody, parts: ItsParts) -> dict[str, Any]:
    """Search again in the same generation, refined by examples. They replace those of the search before."""
    kept = _kept_without_array(parts, result_id)
    asked = {**kept.asked, "like": body.like, "unlike": body.unlike}
    if body.on_off is not None:
        asked["on_off"] = body.on_off
    unset = [name for name in ("like", "unlike", "on_off") if not asked.get(name)]  # an id does not tell [] from unset
    return await _answer(parts, kept.pinned, {name: value for name, value in asked.items() if name not in unset})


@routes.post("/searches/{result_id}/on-off", responses={200: {"model": SearchAnswer}})
async def on_off(result_id: str, parts: ItsParts) -> dict[str, Any]:
    """Say of each hit of a kept result whether its signal is also at another pointing.

    The answer is that of the same search with ``on_off``. It does not search again.
    """
    kept = _kept_without_array(parts, result_id)

    def work() -> dict[str, Any]:
        judged = kept.pinned.corpus.with_on_off(kept.result)
        return parts.results.add(kept.pinned, judged, {**kept.asked, "on_off": True}).to_json()

    return await parts.pool.run(work)


def _kept_without_array(parts: Parts, result_id: str) -> KeptResult:
    """Return a kept result whose request was kept whole; raise :class:`Problem` if there is none."""
    kept = parts.results.get(result_id)
    if "power_shape" in kept.asked:
        raise Problem(409, "no_array", "the array of this search was not kept",
                      "send it with query-rows, and search with its upload")
    return kept


@routes.get("/searches/{result_id}/to-label", responses={200: {"model": ToLabelList}})
async def to_label(result_id: str, parts: ItsParts, count: Annotated[int, Query(ge=1, le=200)] = 24) -> dict[str, Any]:
    """Windows to label next after a refined search: those near the border between yes and no, and random ones."""
    kept = parts.results.get(result_id)

    def work() -> dict[str, Any]:
        chosen = []
        for rank, one in enumerate(kept.result.to_label(count), 1):
            source_id, _, number = one.window.rpartition("/")
            hit = replace(hit_of_window(kept.pinned, source_id, int(number)), rank=rank, score=one.score)
            chosen.append({**kept.pinned.short_paths.of_hit(hit).to_json(), "why": one.why})
        return {"to_label": chosen}

    return await parts.pool.run(work)


@routes.get("/searches/{result_id}.{form}", response_class=Response, responses={200: {
    "content": {media_type: {} for media_type in MEDIA_TYPES.values()}}})
async def export(result_id: str, form: str, parts: ItsParts) -> Response:
    """The result of a search as a file: json, csv, vot, parquet, html, png, pdf or svg."""
    kept = parts.results.get(result_id)
    return await parts.exporting.run(lambda: export_of(kept, form))


@routes.get("/searches/{result_id}", responses={200: {"model": SearchAnswer}})
def result(result_id: str, parts: ItsParts) -> dict[str, Any]:
    """The result of a search that is still kept, as the search returned it."""
    return parts.results.get(result_id).to_json()
