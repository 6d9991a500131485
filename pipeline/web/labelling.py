"""The routes of ``/api/v1`` that show labels and write them.

Labels lie beside the corpus, and belong to the person who is logged in.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from pipeline.errors import QueryError
from pipeline.labels import Label
from pipeline.views import scan_of
from pipeline.web.access import Person
from pipeline.web.answers import LabelAnswer, LabelList, UndoAnswer
from pipeline.web.parts import ItsParts
from pipeline.web.problems import Problem

routes = APIRouter(prefix="/api/v1", tags=["labels"])
MAX_WINDOWS = 1000
"""Windows that may be labelled at once."""


class LabelBody(BaseModel):
    """Windows, and what is said of them."""

    model_config = ConfigDict(extra="forbid")
    windows: list[str] = Field(min_length=1, max_length=MAX_WINDOWS)
    """Each as ``SOURCE/NUMBER``, with the whole id of the source."""
    label: str = Field(min_length=1, max_length=1000)


def _labeller(request: Request) -> Person:
    """Return who asks; raise :class:`Problem` unless this person may write labels."""
    person: Person = request.state.person
    if not person.may_label:
        raise Problem(403, "not_a_labeller", f"{person.name} may look and search, but not write labels",
                      "whoever runs the server can give you a token with --role labeller")
    return person


ItsLabeller = Annotated[Person, Depends(_labeller)]


@routes.get("/labels")
def label_list(parts: ItsParts, source: str = "", text: str = "",
               limit: Annotated[int, Query(ge=1, le=10_000)] = 1000) -> LabelList:
    """Labels that count. ``source`` is the id of a scan, for its labels and those of its views."""
    every = parts.archive.pinned.corpus.labels.every()
    chosen = [one for one in every if (not source or one.place.scan == scan_of(source)) and text in ("", one.text)]
    return LabelList(labels=list(map(_answer, chosen[-limit:])), more=len(chosen) > limit)


@routes.put("/labels")
def label(body: LabelBody, parts: ItsParts, person: ItsLabeller) -> LabelList:
    """Label windows. Those that have this label already do not get it again, and are not in the answer."""
    pinned = parts.archive.pinned
    for window in body.windows:
        if window.rpartition("/")[0] not in pinned.opened.manifest.sources:
            raise QueryError(f"{window[:200]}: the corpus has no such window")
    added = pinned.corpus.labels.add(body.windows, body.label, person.name)
    return LabelList(labels=list(map(_answer, added)), more=False)


@routes.delete("/labels")
def undo(parts: ItsParts, person: ItsLabeller,
         id: Annotated[list[str], Query(max_length=MAX_WINDOWS)] = []) -> UndoAnswer:  # noqa: B006
    """Undo labels, or an undoing, by their ids; without ids, the labels that this person gave last."""
    undone = parts.archive.pinned.corpus.labels.undo(id, person.name)
    return UndoAnswer(id=undone.id, undone=list(undone.of))


def _answer(label: Label) -> LabelAnswer:
    return LabelAnswer.model_validate(label.to_json())
