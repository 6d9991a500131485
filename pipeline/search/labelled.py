"""Labels of the windows of a corpus: giving them, undoing them, and finding the windows that have them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import LabelError
from pipeline.grid.places import Places
from pipeline.labels import InForce, Label, LabelBook, Place, Undo, belong, labels_folder, labels_of, labels_of_csv
from pipeline.model import Hit, Window
from pipeline.search.frequency_range import number_at
from pipeline.search.from_file import find_window
from pipeline.search.snapshot import OpenCorpus


class CorpusLabels:
    """The user's labels of a corpus. Threads may share one.

    They lie in the folder ``CORPUS-labels`` beside the corpus, and belong to places, not to windows or vectors. So runs
    do not touch them, and labels can be given while a run writes the corpus.
    """

    def __init__(self, corpus: OpenCorpus) -> None:
        self._corpus = corpus
        self._book = book_of(corpus)

    @property
    def folder(self) -> Path:
        """Folder of the labels, which may not exist yet."""
        return self._book.folder

    def add(self, windows: Iterable[str | Hit | Window], text: str, who: str | None = None) -> tuple[Label, ...]:
        """Label windows, whether or not the corpus has kept them.

        Parameters
        ----------
        windows : iterable of str, Hit or Window
            Windows as ``SOURCE/NUMBER``, hits of a search, or windows. Of a hit, its best window is labelled.
        text : str
            Up to 200 characters on one line.
        who : str, optional
            Who says so. Default: this user.

        Returns
        -------
        tuple of Label
            The labels that are new: a window that has this label already does not get it again.

        Raises
        ------
        QueryError
            There is no such window.
        LabelError
            The text or the name cannot be used, or the file of labels cannot.
        CorpusLocked
            Other processes keep the lock of the labels for too long.
        """
        return self._book.add(labels_of([self._window(window) for window in windows], text, who))

    def undo(self, ids: Sequence[str] = (), who: str | None = None) -> Undo:
        """Undo labels. That is an entry, too, and can be undone.

        Parameters
        ----------
        ids : sequence of str, optional
            ``id`` of labels, ``action`` of labels that were given together, or ``id`` of an undoing. Default: the last
            labels that this person gave together and that still count.
        who : str, optional
            Default: this user.

        Raises
        ------
        LabelError
            There is no such entry, or nothing to undo; or the file of labels cannot be used.
        CorpusLocked
            Other processes keep the lock of the labels for too long.
        """
        return self._book.undo(ids, who)

    def every(self) -> InForce:
        """Return all labels that count, in the order in which they were given: a sequence of labels.

        Those of sources that the corpus does not hold are among them (:meth:`is_held`). Raises :class:`LabelError` if
        the file of labels cannot be used.
        """
        return self._book.in_force()

    def of(self, window: str | Hit | Window) -> tuple[Label, ...]:
        """Return the labels of a window. Of a hit, also those of the windows that were merged into it.

        A label belongs to each window with which its place shares more than half of the pixels of the smaller one.

        Raises
        ------
        QueryError
            There is no such window.
        LabelError
            The file of labels cannot be used.
        """
        return labels_at(self.every(), self._corpus, self._window(window),
                         window.merged if isinstance(window, Hit) else ())

    def is_held(self, label: Label) -> bool:
        """Tell whether the corpus holds the source of a label. Labels of removed sources stay."""
        return label.source_id in self._corpus.manifest.sources

    def name_of(self, label: Label) -> str:
        """Return the window of a label as ``SOURCE/NUMBER``; the source alone where the corpus has no such window."""
        place = label.place
        if not self.is_held(label):
            return label.source_id
        tiling = self._corpus.tiling(label.source_id)
        block = tiling.block_at(place.spectrum_start)
        is_inside = block < tiling.n_blocks and place.channel_start < tiling.header.nchans
        number = number_at(tiling, block, place.channel_start) if is_inside else -1
        return label.source_id if number < 0 else f"{label.source_id}/{number}"

    def import_csv(self, path: Path) -> tuple[Label, ...]:
        """Add the labels of a CSV file, as ``lookalike labels --csv`` prints it. Returns those that are new.

        Raises
        ------
        LabelError, ConfigError
            The file cannot be used; the message names the line. Then no label is added.
        CorpusLocked
            Other processes keep the lock of the labels for too long.
        """
        return self._book.add(labels_of_csv(path))

    def _window(self, window: str | Hit | Window) -> Window:
        if isinstance(window, str):
            return find_window(self._corpus, window)
        return window.window if isinstance(window, Hit) else window


def book_of(corpus: OpenCorpus) -> LabelBook:
    """Return the labels of a corpus. They are kept for as long as it is open, and read on from where they were."""
    return corpus.keep_object("labels", lambda: LabelBook(labels_folder(corpus.root)))


def numbers_of_labels(corpus: OpenCorpus, labels: Iterable[Label]) -> dict[str, NDArray[np.int64]]:
    """Return the stored windows that labels belong to: source id → their numbers, ascending.

    Sources that the corpus does not hold are left out, and those without such a window.
    """
    by_source: dict[str, list[Label]] = {}
    for label in labels:
        if label.source_id in corpus.manifest.sources:
            by_source.setdefault(label.source_id, []).append(label)
    found = {source_id: _numbers_at(corpus, source_id, some) for source_id, some in by_source.items()}
    return {source_id: numbers for source_id, numbers in found.items() if len(numbers)}


def _numbers_at(corpus: OpenCorpus, source_id: str, labels: Sequence[Label]) -> NDArray[np.int64]:
    tiling, numbers = corpus.tiling(source_id), corpus.numbers(source_id)
    if not len(numbers):
        return numbers
    at, grid = Places.of(tiling, numbers), tiling.grid
    ends = np.column_stack([at.channel, at.channel + grid.channels, at.spectrum, at.spectrum + grid.integrations])
    has = np.zeros(len(numbers), np.bool_)
    for place in dict.fromkeys(label.place for label in labels):
        has |= belong(ends, place)
    return np.sort(numbers[has])


def labels_at(labels: InForce, corpus: OpenCorpus, window: Window, others: Sequence[int] = ()) -> tuple[Label, ...]:
    """Return the labels of a window, and of other windows of its source, each once."""
    if not labels:
        return ()
    windows = [window, *(corpus.window(window.source_id, number) for number in others)]
    return tuple(dict.fromkeys(label for one in windows for label in labels.at(Place.of(one))))


def with_labels(corpus: OpenCorpus, hits: Sequence[Hit]) -> tuple[tuple[Hit, ...], str]:
    """Give hits the texts of their labels. If the labels cannot be read, return a note that says why.

    Labels are the user's own, and a search can do without them.
    """
    labels, note = labels_or_note(corpus)
    if not labels:
        return tuple(hits), note
    texts = [dict.fromkeys(label.text for label in labels_at(labels, corpus, hit.window, hit.merged)) for hit in hits]
    return tuple(replace(hit, labels=tuple(text)) for hit, text in zip(hits, texts, strict=True)), ""


def labels_or_note(corpus: OpenCorpus) -> tuple[InForce, str]:
    """Return the labels that count; or none, and a note that says why they cannot be read."""
    try:
        return book_of(corpus).in_force(), ""
    except LabelError as error:
        return InForce(()), f"hits are shown without labels: {error}"
