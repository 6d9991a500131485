"""Merging of neighbouring windows that show the same signal into one hit. Uses no files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.model import Window

MAX_SCORE_DIFFERENCE = 0.1
"""A window joins a better one if its score is at most this much lower. Windows that share a signal score alike."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A window that may become a hit."""

    score: float
    """Cosine with the most similar window of the query."""
    window: Window
    query: int
    """Index of the query window with this cosine."""


@dataclass(frozen=True, slots=True)
class Merged:
    """A hit: the best of several connected candidates."""

    best: Candidate
    others: tuple[int, ...]
    """Numbers of the windows merged into it, ascending."""
    copies: tuple[tuple[str, int], ...] = ()
    """Source id and window number of windows of other sources that hold the same pixels (:mod:`.copies`)."""
    cosines: tuple[tuple[int, float], ...] = ()
    """Index of a window of the query, and the cosine of the window that matches it, where their arrangement counts."""

    @property
    def source_ids(self) -> tuple[str, ...]:
        """Ids of all sources that it was found in."""
        return self.best.window.source_id, *(source_id for source_id, _ in self.copies)


def touch(a: Window, b: Window) -> bool:
    """Tell whether two windows of one source overlap, or share an edge or corner, in frequency and time."""
    return (
        a.source_id == b.source_id
        and a.channel_start <= b.channel_stop
        and b.channel_start <= a.channel_stop
        and a.spectrum_start <= b.spectrum_stop
        and b.spectrum_start <= a.spectrum_stop
    )


def merge(candidates: Sequence[Candidate], max_score_difference: float = MAX_SCORE_DIFFERENCE) -> list[Merged]:
    """Merge connected candidates into the best of them.

    Each candidate ends up in exactly one result. The best candidate takes those that touch it, then those that touch
    these, and so on, as long as their scores are within ``max_score_difference`` of its own. The best of the remaining
    candidates goes on in the same way until none is left.

    Parameters
    ----------
    candidates : sequence of Candidate
        Windows of one shape, each once, in any order.
    max_score_difference : float

    Returns
    -------
    list of Merged
        By descending score; equal scores by source id and window number.
    """
    order = sorted(candidates, key=lambda c: (-c.score, c.window.source_id, c.window.number))
    cells: dict[_Cell, list[Candidate]] = {}
    for candidate in order:
        cells.setdefault(_cell(candidate.window), []).append(candidate)
    taken: set[tuple[str, int]] = set()
    merged = []
    for best in order:
        if _name(best) in taken:
            continue
        taken.add(_name(best))
        members = [best]
        for member in members:  # the list grows during this loop
            for other in _neighbours(member.window, cells):
                agrees = best.score - other.score <= max_score_difference
                if agrees and _name(other) not in taken and touch(member.window, other.window):
                    taken.add(_name(other))
                    members.append(other)
        merged.append(Merged(best, tuple(sorted(member.window.number for member in members[1:]))))
    return merged


_Cell = tuple[str, int]
"""Source id and column of a mesh of window-sized cells. Most windows of a source lie in columns of their own."""


def _name(candidate: Candidate) -> tuple[str, int]:
    return candidate.window.source_id, candidate.window.number


def _cell(window: Window) -> _Cell:
    """Return the column of a window. Touching windows are in the same or the next one."""
    return window.source_id, window.channel_start // (window.channel_stop - window.channel_start)


def _neighbours(window: Window, cells: Mapping[_Cell, Sequence[Candidate]]) -> Iterator[Candidate]:
    """Go through the candidates in the column of a window and in those beside it."""
    source_id, column = _cell(window)
    for near in (column - 1, column, column + 1):
        yield from cells.get((source_id, near), ())
