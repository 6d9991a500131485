"""Searches that are refined by examples: of what is alike, and of what is not.

The examples give a direction among the vectors (:mod:`pipeline.search.direction`), and the score of a window is its
cosine with it. So figures of chance are made as in other searches: unrelated signals are compared with the same
direction.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import cycle
from typing import Any, Literal

import numpy as np

from pipeline.labels import InForce
from pipeline.model import Window
from pipeline.search.copies import Copies
from pipeline.search.direction import Direction, direction_of
from pipeline.search.example_forms import has_examples
from pipeline.search.examples import Covered, ExampleReader
from pipeline.search.labelled import labels_at, labels_or_note
from pipeline.search.nearest import to_unit_length
from pipeline.search.query import Query
from pipeline.search.request import SearchRequest
from pipeline.search.sample import Sample, sample_of
from pipeline.search.selection import Selection

_SEED = 0
Why = Literal["borderline", "random"]
_REASONS: tuple[Why, Why] = ("borderline", "random")


@dataclass(frozen=True, slots=True)
class ToLabel:
    """A window to look at and label next."""

    window: str
    """The window, as ``SOURCE/NUMBER``."""
    why: Why
    """*borderline*: its score is near where the two kinds of examples part, so its label tells much. *random*:
    drawn evenly, so that labels also show what the search has overlooked."""
    score: float
    f_start_mhz: float
    f_stop_mhz: float
    mjd: float

    def to_json(self) -> dict[str, Any]:
        """Return a plain dictionary."""
        return {"window": self.window, "why": self.why, "score": round(self.score, 6),
                "f_start_mhz": round(self.f_start_mhz, 9), "f_stop_mhz": round(self.f_stop_mhz, 9),
                "mjd": round(self.mjd, 9)}


@dataclass(frozen=True, slots=True)
class Refinement:
    """A query that examples have refined, and what is searched with it."""

    query: Query
    """The query whose only vector is the direction."""
    direction: Direction
    selection: Selection
    labels: InForce

    def to_label(self, count: int) -> tuple[ToLabel, ...]:
        """Return windows to label next: borderline and random ones in turn, none that is an example or has a label.

        They come from the sample of the corpus that figures of chance are made of, and pass the filters.

        Parameters
        ----------
        count : int
            Maximum number of windows.
        """
        sample = sample_of(self.selection)
        scores = sample.vectors @ self.direction.vector
        borderline = np.argsort(np.abs(scores - self.direction.border), kind="stable")
        at_random = np.random.default_rng(_SEED).permutation(len(scores))
        chosen: dict[int, ToLabel] = {}
        for i, why in zip(np.column_stack([borderline, at_random]).ravel().tolist(), cycle(_REASONS)):
            if len(chosen) >= count:
                break
            window = self._window_to_label(sample, i) if i not in chosen else None
            if window is not None:
                chosen[i] = ToLabel(f"{window.source_id}/{window.number}", why, float(scores[i]), window.f_start_mhz,
                                    window.f_stop_mhz, window.mjd)
        return tuple(chosen.values())

    def _window_to_label(self, sample: Sample, i: int) -> Window | None:
        """Return a window of the sample; None if it is left out."""
        selection, corpus = self.selection, self.selection.corpus
        source_id, number = sample.source_ids[sample.source[i]], int(sample.number[i])
        if source_id not in selection.position or not selection.passes(source_id, sample.number[i : i + 1])[0]:
            return None
        window = corpus.window(source_id, number)
        is_known = Copies(corpus, self.query).is_of_query(window) or self.query.covers(window)
        return None if is_known or labels_at(self.labels, corpus, window) else window


def refinement_of(
    request: SearchRequest, query: Query, selection: Selection, reader: ExampleReader
) -> Refinement | None:
    """Refine a query by the examples of a request; return None if it has none.

    Parameters
    ----------
    request : SearchRequest
    query : Query
        The pattern, or the first example of what is alike. All of its windows are examples of what is alike.
    selection : Selection
        Windows that may be found. They need not be examples.
    reader : ExampleReader

    Raises
    ------
    QueryError
        An example names nothing, or shows nothing.
    """
    if not has_examples(request):
        return None
    like, unlike = (reader.read(forms, selection.resolutions) for forms in (request.like, request.unlike))
    own = to_unit_length(query.vectors, str(query.description))
    alike = like.vectors if request.is_by_example else np.concatenate([own, like.vectors])
    direction = direction_of(alike, unlike.vectors, sample_of(selection).vectors)
    description = replace(query.description, windows=1, like=len(alike), unlike=len(unlike.vectors)).with_notes(
        *(note for one in (like, unlike) for note in one.notes))
    refined = replace(query, vectors=direction.vector[None], cutouts=query.cutouts[:1], positions=query.positions[:1],
                      windows=query.windows[:1], covers=Covered((*like.extents, *unlike.extents)),
                      description=description)
    labels, _ = labels_or_note(selection.corpus)
    return Refinement(refined, direction, selection, labels)
