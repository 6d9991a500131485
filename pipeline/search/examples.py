"""Examples of what is alike and what is not: their vectors, and the part of the corpus that they cover."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import QueryError
from pipeline.model import Window
from pipeline.search.copies import do_overlap
from pipeline.search.draft import Draft, encoded_alone
from pipeline.search.example_forms import LABEL, MAX_EXAMPLES, Form, range_in
from pipeline.search.frequency_range import Range
from pipeline.search.from_file import draft_of_range, draft_of_window, find_window, origin_of_file
from pipeline.search.from_power import draft_of_power
from pipeline.search.labelled import book_of, labels_or_note, numbers_of_labels
from pipeline.search.nearest import to_unit_length
from pipeline.search.query import Query
from pipeline.search.snapshot import OpenCorpus
from pipeline.support.text import counted, listed
from pipeline.views import View, scan_of


@dataclass(slots=True)
class Examples:
    """Examples of one kind."""

    vectors: NDArray[np.float32]
    """(n, d) of length 1."""
    extents: tuple[Window, ...] = ()
    """The windows that they cover. Arrays cover none."""
    notes: tuple[str, ...] = ()
    """What the user should know about them."""


@dataclass(frozen=True, slots=True)
class ExampleReader:
    """Reads the examples of one search."""

    corpus: OpenCorpus
    key: str
    """Key of the encoder."""
    view: View | None = None
    """View through which ranges are seen; None for the one that fits each of them."""
    polarisation: int | None = None

    def query_of(self, form: Form) -> Query:
        """Return an example as a query of its own. Of all windows with a label, the first one is taken.

        Raises
        ------
        QueryError
            It names nothing, or shows nothing.
        """
        return encoded_alone(self.corpus, self.key, self.draft_of(form))

    def draft_of(self, form: Form) -> Draft:
        """Return the draft of :meth:`query_of`, whose windows are not encoded yet."""
        if not isinstance(form, str):
            return draft_of_power(self.corpus, self.key, form)
        if form.startswith(LABEL):
            first = windows_with_label(self.corpus, form.removeprefix(LABEL))[0]
            return draft_of_window(self.corpus, self.key, f"{first.source_id}/{first.number}")
        if ends := range_in(form):
            origin = origin_of_file(self.corpus, ends[0], self.polarisation)
            return draft_of_range(self.corpus, self.key, origin, Range(*ends[1:], None, None), self.view)
        self._window(form)
        return draft_of_window(self.corpus, self.key, form)

    def read(self, forms: Iterable[Form], resolutions: frozenset[str]) -> Examples:
        """Return the vectors of examples that have one of some resolutions, each window once.

        Raises
        ------
        QueryError
            An example names nothing, or shows nothing.
        """
        windows: dict[tuple[str, int], Window] = {}
        queries: list[Query] = []
        for form in forms:
            if isinstance(form, str) and form.startswith(LABEL):
                found = windows_with_label(self.corpus, form.removeprefix(LABEL))
                windows |= {(one.source_id, one.number): one for one in found}
            elif isinstance(form, str) and not range_in(form):
                one = self._window(form)
                windows[one.source_id, one.number] = one
            else:
                queries.append(self.query_of(form))
        sources = self.corpus.manifest.sources
        comparable = [one for one in windows.values() if sources[one.source_id].resolution in resolutions]
        vectors, lacking = self._stored(_some_of(comparable))
        queries += [self.query_of(f"{one.source_id}/{one.number}") for one in lacking]
        used = [one for one in queries if one.resolution in resolutions or not one.resolution]
        vectors += [to_unit_length(one.vectors, str(one.description)) for one in used]
        extents = (*windows.values(), *(region.extent for one in queries for region in one.regions))
        dimension = self.corpus.manifest.encoders[self.key].dimension
        return Examples(np.concatenate([np.empty((0, dimension), np.float32), *vectors]), extents,
                        _notes(len(windows) - len(comparable) + len(queries) - len(used), len(comparable)))

    def _window(self, text: str) -> Window:
        """Return the window of an example. The error about the text of a label says how to name a label."""
        try:
            return find_window(self.corpus, text)
        except QueryError as error:
            if "/" not in text and len(labels_or_note(self.corpus)[0].with_text(text)):
                raise QueryError(f"{text!r} names no window, but is a label: give {LABEL}{text}") from error
            raise

    def _stored(self, windows: Sequence[Window]) -> tuple[list[NDArray[np.float32]], list[Window]]:
        """Read the vectors of windows; also return the windows that have none."""
        by_source: dict[str, list[Window]] = {}
        for one in windows:
            by_source.setdefault(one.source_id, []).append(one)
        vectors, lacking = [], []
        for source_id, some in by_source.items():
            rows = self.corpus.rows(source_id, np.array([one.number for one in some], np.int64))
            if self.key not in self.corpus.manifest.sources[source_id].vectors:
                rows = np.full(len(some), -1)
            lacking += [one for one, row in zip(some, rows, strict=True) if row < 0]
            if (rows >= 0).any():
                stored = self.corpus.vectors_of(source_id, self.key, rows[rows >= 0])
                vectors.append(to_unit_length(stored, source_id))
        return vectors, lacking


def _some_of(windows: Sequence[Window]) -> list[Window]:
    """Return at most :data:`MAX_EXAMPLES` windows, evenly chosen."""
    if len(windows) <= MAX_EXAMPLES:
        return list(windows)
    return [windows[i] for i in np.linspace(0, len(windows) - 1, MAX_EXAMPLES).round().astype(int).tolist()]


def _notes(left_out: int, comparable: int) -> tuple[str, ...]:
    notes = []
    if left_out:
        notes.append(f"{counted(left_out, 'example')} of another resolution not used")
    if comparable > MAX_EXAMPLES:
        notes.append(f"{MAX_EXAMPLES:,} of {comparable:,} windows are used as examples, evenly chosen")
    return tuple(notes)


class Covered:
    """Tells whether a window shares pixels with some examples, in their own scans."""

    def __init__(self, extents: Iterable[Window]) -> None:
        self._by_scan: dict[str, list[Window]] = {}
        for extent in extents:
            self._by_scan.setdefault(scan_of(extent.source_id), []).append(extent)
        self._ends = {scan: np.array([(one.f_start_mhz, one.f_stop_mhz) for one in some])
                      for scan, some in self._by_scan.items()}

    def __call__(self, window: Window) -> bool:
        """Tell whether a window shares more than half a pixel, in frequency and in time, with an example."""
        scan = scan_of(window.source_id)
        if scan not in self._ends:
            return False
        start, stop = self._ends[scan].T
        near = np.flatnonzero((start < window.f_stop_mhz) & (window.f_start_mhz < stop))
        return any(do_overlap(self._by_scan[scan][i], window) for i in near.tolist())


def windows_with_label(corpus: OpenCorpus, text: str) -> list[Window]:
    """Return the stored windows that have a label, each once.

    Raises
    ------
    QueryError
        No label has this text, or no stored window has it.
    """
    labels = book_of(corpus).in_force()
    chosen = labels.with_text(text)
    if not chosen:
        raise QueryError(f"{LABEL}{text}: no window has this label; labels are {listed(labels.texts()) or 'none'}")
    windows = [corpus.window(source_id, number) for source_id, numbers in numbers_of_labels(corpus, chosen).items()
               for number in numbers.tolist()]
    if not windows:
        raise QueryError(f"{LABEL}{text}: {counted(len(chosen), 'place')} with this label, and no stored window of the "
                         "corpus among them")
    return windows
