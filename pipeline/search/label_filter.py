"""Which hits a search wants by the user's labels: those that carry one of some labels, and those that carry none.

A hit carries a label if any of its windows does: its best one, those that were merged into it, and those of other
sources that hold the same pixels. So a signal that the user has labelled does not come back as the window beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import ParameterError, parameter
from pipeline.labels import InForce, Label
from pipeline.search.best_hits import spans_around
from pipeline.search.chosen_windows import score_windows_of, stored_between
from pipeline.search.filters import Filters
from pipeline.search.labelled import book_of, numbers_of_labels
from pipeline.search.limits import FullPlaces
from pipeline.search.merge import Merged
from pipeline.search.nearest import Finder, Nearest
from pipeline.search.selection import Selection
from pipeline.search.snapshot import OpenCorpus
from pipeline.support.text import counted, listed

Numbers = Mapping[str, NDArray[np.int64]]
"""Source id → ascending numbers of stored windows."""
_NEAR_TEXTS = 3


class LabelFilter:
    """The labels that a search asks for, and the windows that have them.

    Parameters
    ----------
    corpus : OpenCorpus
    only, without : tuple of str
        Texts of labels. A hit must carry one of the first, if there are any, and none of the others.

    Raises
    ------
    ParameterError
        No label has such a text; the message names those that are near.
    LabelError
        The file of labels cannot be used.
    """

    def __init__(self, corpus: OpenCorpus, only: tuple[str, ...], without: tuple[str, ...]) -> None:
        labels = book_of(corpus).in_force()
        self._corpus, self._texts = corpus, only
        self._only = numbers_of_labels(corpus, _with_texts(labels, only, "only_label")) if only else None
        self._without = numbers_of_labels(corpus, _with_texts(labels, without, "not_label"))
        self._names_only, self._names_without = _names(self._only or {}), _names(self._without)

    @classmethod
    def of(cls, corpus: OpenCorpus, filters: Filters | None) -> LabelFilter | None:
        """Return what filters ask for; None if that has nothing to do with labels."""
        if filters is None or not (filters.only_label or filters.not_label):
            return None
        return cls(corpus, filters.only_label, filters.not_label)

    def wants(self, hit: Merged) -> bool:
        """Tell whether a hit carries one of the wanted labels, and none of the others."""
        windows = {(hit.best.window.source_id, number) for number in (hit.best.window.number, *hit.others)}
        windows.update(hit.copies)
        return (self._only is None or bool(windows & self._names_only)) and not windows & self._names_without

    def holds(self, source_id: str, number: int) -> bool:
        """Tell whether the labels of a stored window itself are wanted."""
        name = source_id, number
        return (self._only is None or name in self._names_only) and name not in self._names_without

    def passing(self, source_id: str, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return those of some stored windows (n,) of a source whose own labels pass."""
        if self._only is not None:
            numbers = numbers[np.isin(numbers, self._only.get(source_id, ()))]
        return numbers[~np.isin(numbers, self._without.get(source_id, ()))]

    def count(self, selection: Selection, findable: int) -> int:
        """Count the windows of a selection whose own labels pass.

        Parameters
        ----------
        findable : int
            Number of all its windows.

        Raises
        ------
        ParameterError
            No window has a wanted label.
        """
        if self._only is None:
            return findable - _count(selection, self._without)
        found = _count(selection, {source_id: self.passing(source_id, numbers)
                                   for source_id, numbers in self._only.items()})
        if not found:
            texts = listed(map(repr, self._texts))
            raise ParameterError(f"{parameter('only_label')}: none of the {counted(findable, 'signal')} searched is "
                                 f"left; {counted(_count(selection, self._only), 'window')} among them "
                                 f"{'has' if len(self._texts) == 1 else 'have'} the label {texts}")
        return found

    def finder(self, selection: Selection, find: Finder) -> Finder:
        """Return what finds windows of the selection for a search.

        If labels are wanted, that compares the windows with them, and those around these, one by one: few windows have
        labels, and they may be far from the nearest ones. Otherwise it is ``find``.
        """
        if self._only is None:
            return find
        numbers = {selection.position[source_id]: _around(selection, source_id, some)
                   for source_id, some in self._only.items() if source_id in selection.position}
        return _Chosen(numbers)


@dataclass(frozen=True, slots=True)
class _Chosen:
    """A :class:`~pipeline.search.nearest.Finder` that compares chosen windows alone, whatever the search follows.

    It returns all of them, however few are asked for: whether a hit carries a label is known only with the windows
    around it.
    """

    numbers: Mapping[int, NDArray[np.int64]]

    def __call__(
        self, selection: Selection, vectors: NDArray[np.float32], k: int, *, exact: bool = False,
        careful: bool = False, full: FullPlaces | None = None,
    ) -> Nearest:
        """Score the windows, as :func:`pipeline.search.nearest.nearest` does."""
        return score_windows_of(selection, self.numbers, vectors)


def note_on_labels(before: int, after: int) -> str:
    """Return a note that says how many windows labels leave out.

    Parameters
    ----------
    before, after : int
        Number of windows that other filters let pass, and of those that labels let pass, too.
    """
    return (f"labels leave out {before - after:,} of {counted(before, 'signal')}; expected numbers are of the "
            f"{after:,} that are left")


def _with_texts(labels: InForce, texts: Sequence[str], name: str) -> list[Label]:
    return [label for text in texts for label in _with_text(labels, text, name)]


def _with_text(labels: InForce, text: str, name: str) -> Sequence[Label]:
    if found := labels.with_text(text):
        return found
    texts = labels.texts()
    if not texts:
        raise ParameterError(f"{parameter(name)} {text}: no window has a label yet; lookalike label gives labels")
    by_folded = {one.casefold(): one for one in texts}
    folded = text.strip().casefold()
    near = [one for one in by_folded if folded in one][:_NEAR_TEXTS]
    near = near or get_close_matches(folded, by_folded, _NEAR_TEXTS)
    words = f"near ones are {listed(repr(by_folded[one]) for one in near)}" if near else (
        f"labels are {listed(map(repr, texts))}")
    raise ParameterError(f"{parameter(name)} {text}: no window has this label; {words}")


def _names(numbers: Numbers) -> frozenset[tuple[str, int]]:
    return frozenset((source_id, number) for source_id, some in numbers.items() for number in some.tolist())


def _count(selection: Selection, numbers: Numbers) -> int:
    return sum(int(selection.passes(source_id, some).sum()) for source_id, some in numbers.items()
               if source_id in selection.position)


def _around(selection: Selection, source_id: str, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the stored windows of a source near some of its windows: a hit may have its best window there."""
    spans = spans_around(numbers.tolist(), selection.corpus.tiling(source_id))
    return np.array(sorted(stored_between(selection, source_id, spans)), np.int64)
