"""What a night tells of families: those that are new tonight, and those that have grown."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.families import Family, has_families
from pipeline.run import find_families
from pipeline.search import open_corpus

MAX_DRAWN = 12
"""Largest number of new families that are drawn, those with most windows first."""
DRAWN_WINDOWS = 6
"""Largest number of windows of a new family that are drawn."""


@dataclass(frozen=True, slots=True)
class NewFamily:
    """A family that was found tonight."""

    family: Family
    picture: bytes = field(default=b"", repr=False)
    """PNG of its exemplar and the windows most like it; empty if it is not among those that are drawn."""


@dataclass(frozen=True, slots=True)
class Grown:
    """A family that got windows tonight."""

    family: Family
    added: int
    """Number of windows that it got."""


@dataclass(frozen=True, slots=True)
class FamilyNews:
    """What is new of families tonight."""

    judged: int
    """Number of windows that were put into families, or left out of all."""
    without: int
    """Number of windows of the corpus that are in no family."""
    new: tuple[NewFamily, ...]
    """Those with most windows first."""
    grown: tuple[Grown, ...]
    """Those that got most windows first."""

    def to_json(self) -> dict[str, Any]:
        """Return the record for the report, without pictures."""
        return {"judged": self.judged, "without": self.without,
                "new": [one.family.to_json() for one in self.new],
                "grown": [{**one.family.to_json(), "added": one.added} for one in self.grown]}


def tell_families(root: Path, tonight: Collection[str]) -> FamilyNews | None:
    """Put tonight's windows into families. None if there are no new sources, or if the user has found no families yet.

    Families are kept up to date once the user has found the first ones with ``lookalike families``.

    Errors are those of :func:`pipeline.run.find_families`.
    """
    if not tonight or not has_families(root):
        return None
    found = find_families(root)
    corpus = open_corpus(root)
    listed = corpus.families()
    held = {family.id: family for family in listed}
    new = [held[one] for one in found.new if one in held]
    drawn = [NewFamily(one, corpus.family(one.id, DRAWN_WINDOWS).png()) for one in new[:MAX_DRAWN]]
    grown = [Grown(held[one], added) for one, added in found.grown.items() if one in held]
    return FamilyNews(found.judged, listed.without, (*drawn, *map(NewFamily, new[MAX_DRAWN:])),
                      tuple(sorted(grown, key=lambda one: -one.added)))
