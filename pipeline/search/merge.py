"""Neighbouring windows that found the same thing become one hit. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.model import Window

TOLERANCE = 0.1
"""A window joins a better one if its score is at most this much lower: two windows that share a signal score alike."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A window that may become a hit."""

    score: float
    window: Window
    query: int
    """Which of the query's windows it resembles most."""


@dataclass(frozen=True, slots=True)
class Merged:
    """A hit to be: the best of some windows that hang together."""

    best: Candidate
    others: tuple[int, ...]
    """Numbers of the windows merged into it, ascending."""


def touch(a: Window, b: Window) -> bool:
    """Tell whether two windows of one source overlap, or share an edge or corner, in frequency and time."""
    return (
        a.source_id == b.source_id
        and a.channel_start <= b.channel_stop
        and b.channel_start <= a.channel_stop
        and a.spectrum_start <= b.spectrum_stop
        and b.spectrum_start <= a.spectrum_stop
    )


def merge(candidates: Sequence[Candidate], tolerance: float = TOLERANCE) -> list[Merged]:
    """Merge candidates that hang together into the best of them.

    Every candidate is in exactly one result. The best of all takes those that touch it, those that touch these, and so
    on, as long as their scores are within ``tolerance`` of its own; then the best of the rest does, until none is left.

    Parameters
    ----------
    candidates : sequence of Candidate
        Windows of one shape, each once, in any order.

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
        for member in members:  # grows while it is walked
            for other in _around(member.window, cells):
                agrees = best.score - other.score <= tolerance
                if agrees and _name(other) not in taken and touch(member.window, other.window):
                    taken.add(_name(other))
                    members.append(other)
        merged.append(Merged(best, tuple(sorted(member.window.number for member in members[1:]))))
    return merged


_Cell = tuple[str, int, int]


def _name(candidate: Candidate) -> tuple[str, int]:
    return candidate.window.source_id, candidate.window.number


def _cell(window: Window) -> _Cell:
    """Cell of a mesh as wide as a window: windows that touch are in the same cell or in adjoining ones."""
    spectra = window.spectrum_stop - window.spectrum_start
    channels = window.channel_stop - window.channel_start
    return window.source_id, window.spectrum_start // spectra, window.channel_start // channels


def _around(window: Window, cells: Mapping[_Cell, Sequence[Candidate]]) -> Iterator[Candidate]:
    source_id, row, column = _cell(window)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            yield from cells.get((source_id, row + down, column + right), ())
