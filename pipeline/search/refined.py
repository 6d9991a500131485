"""Searches that are refined by examples: of what is alike, and of what is not.

The examples give a direction among the vectors (:mod:`pipeline.search.direction`), and the score of a window is its
cosine with it. So figures of chance are made as in other searches: unrelated signals are compared with the same
direction.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.index import products
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
        scores = products(sample.vectors, self.direction.vector[None])[0]
        borderline = np.argsort(np.abs(scores - self.direction.border), kind="stable")
        at_random = np.random.default_rng(_SEED).permutation(len(scores))
        queues = [self._free(sample, order) for order in (borderline, at_random)]
        chosen: dict[int, ToLabel] = {}
        is_new = True
        while is_new:
            is_new = False
            for why, queue in zip(_REASONS, queues, strict=True):
                i, window = next((one for one in queue if one[0] not in chosen), (-1, None))
                if window is not None and len(chosen) < count:
                    chosen[i] = ToLabel(f"{window.source_id}/{window.number}", why, float(scores[i]),
                                        window.f_start_mhz, window.f_stop_mhz, window.mjd)
                    is_new = True
        return tuple(chosen.values())

    def _free(self, sample: Sample, order: NDArray[np.int64]) -> Iterator[tuple[int, Window]]:
        """Go through the sample in some order, without what the filters reject, examples, and windows with a label."""
        selection, corpus, copies = self.selection, self.selection.corpus, Copies(self.selection.corpus, self.query)
        for i in order.tolist():
            source_id, number = sample.source_ids[sample.source[i]], int(sample.number[i])
            if source_id in selection.position and selection.passes(source_id, sample.number[i : i + 1])[0]:
                window = corpus.window(source_id, number)
                is_example = self.query.covers(window) or copies.is_of_query(window)
                if not is_example and not labels_at(self.labels, corpus, window):
                    yield i, window


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
