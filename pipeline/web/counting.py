"""The routes of ``/api/v1`` that count how often a pattern occurs, divided by what was searched."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query

from pipeline.web.answers import OccurrenceAnswer
from pipeline.web.parts import ItsParts

routes = APIRouter(prefix="/api/v1", tags=["occurrence"])
By = Annotated[list[Literal["frequency", "date", "hour", "local hour", "target"]], Query(max_length=5)]
Width = Annotated[float | None, Query(gt=0, le=1e9, allow_inf_nan=False)]
Days = Annotated[int | None, Query(ge=1, le=10**6)]
EVERY: list[Any] = ["frequency", "date", "hour", "target"]


@routes.get("/searches/{result_id}/occurrence", responses={200: {"model": OccurrenceAnswer}})
async def of_search(result_id: str, parts: ItsParts, by: By = EVERY, bin_mhz: Width = None,
                    bin_days: Days = None) -> dict[str, Any]:
    """How often, when and where the pattern of a search occurs, as ``lookalike occurrence --json`` prints it."""
    kept = parts.results.get(result_id)
    return await parts.pool.run(lambda: kept.pinned.corpus.occurrence(
        kept.result.request, by=by, bin_mhz=bin_mhz, bin_days=bin_days).to_json())
