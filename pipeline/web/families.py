"""The routes of ``/api/v1`` that show families, groups of kept windows that look alike, and name them."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field

from pipeline.errors import QueryError
from pipeline.export import TABLE_FORMATS
from pipeline.families import MAX_TEXT_LENGTH, read_families
from pipeline.run import name_family
from pipeline.search import FamilyMembers
from pipeline.web.answers import FamilyAnswer, FamilyList, FamilyName, OccurrenceAnswer
from pipeline.web.archive import Pinned
from pipeline.web.counting import EVERY, By, Days, Width
from pipeline.web.json_answer import JsonAnswer
from pipeline.web.labelling import ItsLabeller
from pipeline.web.parts import ItsParts
from pipeline.web.tables import FILES, file_of

routes = APIRouter(prefix="/api/v1", tags=["families"])


class NameBody(BaseModel):
    """The name of a family."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)
    name: str = Field(max_length=MAX_TEXT_LENGTH)
    """Printable characters; an empty name takes the name away."""


@routes.get("/families", responses={200: {"model": FamilyList}})
def family_list(parts: ItsParts, min_windows: Annotated[int, Query(ge=1)] = 1,
                limit: Annotated[int, Query(ge=1, le=10_000)] = 500) -> dict[str, Any]:
    """Families, those with most windows first. ``reason`` says why there are none."""
    pinned = parts.archive.pinned
    try:
        record = pinned.corpus.families(min_windows=min_windows).to_json()
    except QueryError as error:
        return {"families": [], "more": False, "reason": pinned.shorten(str(error)), "generation": None,
                "corpus_generation": pinned.generation, "not_judged": 0, "without": 0, "encoder": ""}
    reason = "" if record["families"] else _why_none(pinned)
    return {**record, "families": record["families"][:limit], "more": len(record["families"]) > limit, "reason": reason}


def _why_none(pinned: Pinned) -> str:
    """Return why families were made and none is listed."""
    if not any(entry.windows_kept for entry in pinned.opened.manifest.sources.values()):
        return "This generation of the corpus holds no kept window, so it has no families."
    return "Families were made, but none of them holds as many windows of this generation of the corpus."


@routes.get("/families/{family_id}.png", response_class=Response, responses={200: {"content": {"image/png": {}}}})
async def family_png(family_id: str, parts: ItsParts) -> Response:
    """The windows most like the exemplar of a family, as a picture."""
    pinned = parts.archive.pinned
    drawn = await parts.drawing.run(lambda: pinned.corpus.family(family_id).png())
    return Response(drawn, media_type="image/png")


@routes.get("/families/{family_id}.{form}", response_class=Response, responses=FILES)
async def family_file(family_id: str, form: str, parts: ItsParts) -> Response:
    """All windows of a family as a file, as ``lookalike families FAMILY --csv`` lists them."""
    if form not in TABLE_FORMATS:  # the name of a family may have a dot
        return JsonAnswer(await family(f"{family_id}.{form}", parts))
    pinned = parts.archive.pinned
    return await file_of(parts, "family", form, lambda: _with_short_paths(pinned, family_id, None).table())


@routes.get("/families/{family_id}", responses={200: {"model": FamilyAnswer}})
async def family(family_id: str, parts: ItsParts,
                 limit: Annotated[int, Query(ge=1, le=1000)] = 100) -> dict[str, Any]:
    """A family with its windows, those most like the exemplar first, and the spacing of their frequencies."""
    pinned = parts.archive.pinned
    return await parts.pool.run(lambda: _with_short_paths(pinned, family_id, limit).to_json())


def _with_short_paths(pinned: Pinned, family_id: str, limit: int | None) -> FamilyMembers:
    """Return a family whose windows name their files by short paths."""
    found = pinned.corpus.family(family_id, limit)
    return replace(found, members=tuple(map(pinned.short_paths.of_hit, found.members)))


@routes.get("/families/{family_id}/occurrence", responses={200: {"model": OccurrenceAnswer}})
async def of_family(family_id: str, parts: ItsParts, by: By = EVERY, bin_mhz: Width = None,
                    bin_days: Days = None) -> dict[str, Any]:
    """How often, when and where the windows of a family occur, as ``lookalike occurrence --json`` prints it."""
    corpus = parts.archive.pinned.corpus
    return await parts.pool.run(lambda: corpus.occurrence(
        windows=corpus.family(family_id, None).windows, by=by, bin_mhz=bin_mhz, bin_days=bin_days).to_json())


@routes.put("/families/{family_id}/name")
def rename(family_id: str, body: NameBody, parts: ItsParts, _: ItsLabeller) -> FamilyName:
    """Name a family, as ``lookalike families --name`` does. ``before`` is the name that it had."""
    table = read_families(parts.archive.root)
    before = table.entry(family_id).name if table else ""
    named = name_family(parts.archive.root, family_id, name=body.name)  # says so if there are no families
    parts.archive.show_families_now()
    return FamilyName(id=named.id, name=named.name, before=before)
