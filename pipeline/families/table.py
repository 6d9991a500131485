"""Which family each window belongs to, and what is known of each family. A value, without a disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import QueryError
from pipeline.families.grouping import NONE
from pipeline.support.records import Bounds, Count, UnixSeconds, WindowCount
from pipeline.support.text import shown

FamilyNumber = Annotated[int, Bounds(1, 2**31 - 1)]
MAX_TEXT_LENGTH = 200
"""Largest number of characters of the user's name or label."""


def family_id(number: int) -> str:
    """Return the id of a family, such as ``F12``; an empty text for :data:`~pipeline.families.grouping.NONE`."""
    return f"F{number}" if number else ""


@dataclass(frozen=True, slots=True)
class Entry:
    """What does not follow from the windows of a family."""

    number: FamilyNumber
    """Its number, which no other family gets later."""
    exemplar: tuple[str, WindowCount]
    """Source and number of the window that is most like the mean of the family when it is chosen."""
    generation: Count
    """Generation of the corpus in which the family was found first."""
    found_s: UnixSeconds
    """When it was found, in Unix seconds."""
    name: str = ""
    """Name by the user."""
    label: str = ""
    """Label by the user, such as a kind of emitter, which several families may share."""

    @property
    def id(self) -> str:
        """Id of the family, such as ``F12``."""
        return family_id(self.number)


@dataclass(frozen=True, slots=True)
class FamilyTable:
    """The families of a corpus as they were last found."""

    encoder_key: str = ""
    """Encoder whose vectors were compared."""
    generation: Count = 0
    """Generation of the corpus whose windows were judged."""
    made_s: UnixSeconds = 0.0
    """When, in Unix seconds."""
    entries: Mapping[int, Entry] = field(default_factory=dict)
    """Number → family. A family without windows keeps its entry, and so its number and its name."""
    sources: Mapping[str, tuple[NDArray[np.int64], NDArray[np.int32]]] = field(default_factory=dict)
    """Source → ascending numbers of its windows that were judged, and the family of each."""

    @property
    def next_number(self) -> int:
        """Number of the next family that is found."""
        return max(self.entries, default=0) + 1

    def family_of(self, source_id: str, number: int) -> int:
        """Return the family of a window; :data:`~pipeline.families.grouping.NONE` if it is in none or not judged."""
        numbers, families = self.sources.get(source_id, (None, None))
        if numbers is None or families is None:
            return NONE
        at = int(np.searchsorted(numbers, number))
        return int(families[at]) if at < len(numbers) and numbers[at] == number else NONE

    def entry(self, text: str) -> Entry:
        """Return the family of an id, such as ``F12``, or of the user's name.

        Raises
        ------
        QueryError
            There is none, or several have the name.
        """
        found = [one for one in self.entries.values() if text in (one.id, one.name)]
        found = [one for one in found if one.id == text] or found
        if len(found) != 1:
            how = f"{len(found)} families have this name; give the id of one" if found else \
                "there is no such family; list them with: lookalike families"
            raise QueryError(f"{shown(text)}: {how}")
        return found[0]

    def counts(self) -> NDArray[np.int64]:
        """Return the number of windows of each family (next_number,), by its number."""
        out = np.zeros(self.next_number, np.int64)
        for _, families in self.sources.values():
            out += np.bincount(families, minlength=len(out))
        return out

    def with_text(self, number: int, name: str | None, label: str | None) -> Self:
        """Return the table with the user's name or label of a family changed; None keeps what there is."""
        old = self.entries[number]
        new = replace(old, name=old.name if name is None else name, label=old.label if label is None else label)
        return replace(self, entries={**self.entries, number: new})
