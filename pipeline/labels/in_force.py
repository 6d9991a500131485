"""The labels that count: those that no later entry has undone, found by place and by text. Uses no files."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from pipeline.labels.entry import Entry, Label, Place


class InForce(Sequence[Label]):
    """The labels that count, in the order in which they were given.

    Parameters
    ----------
    entries : sequence of Entry
        All entries, in their order.
    """

    def __init__(self, entries: Sequence[Entry]) -> None:
        undone: set[str] = set()
        labels: list[Label] = []
        for entry in reversed(entries):  # an entry can be undone only by a later one
            if entry.id in undone or (isinstance(entry, Label) and entry.action in undone):
                continue
            if isinstance(entry, Label):
                labels.append(entry)
            else:
                undone.update(entry.of)
        self._labels = tuple(reversed(labels))

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int | slice) -> Label | tuple[Label, ...]:  # type: ignore[override]
        return self._labels[index]

    @cached_property
    def said(self) -> frozenset[tuple[Place, str]]:
        """Each place with each text that it has."""
        return frozenset((label.place, label.text) for label in self._labels)

    @cached_property
    def _of_source(self) -> dict[str, tuple[tuple[Label, ...], NDArray[np.int64]]]:
        """Source id → its labels, and (n, 4) first and last channel, first and last spectrum of each."""
        by_source: dict[str, list[Label]] = {}
        for label in self._labels:
            by_source.setdefault(label.source_id, []).append(label)
        return {source_id: (tuple(labels), np.array([_ends(label.place) for label in labels], np.int64))
                for source_id, labels in by_source.items()}

    def with_text(self, text: str) -> tuple[Label, ...]:
        """Return the labels with a text. Upper and lower case are the same."""
        wanted = text.strip().casefold()
        return tuple(label for label in self._labels if label.text.casefold() == wanted)

    def texts(self) -> dict[str, int]:
        """Return each text, and how many labels have it, the most frequent first."""
        counts: dict[str, int] = {}
        for label in self._labels:
            counts[label.text] = counts.get(label.text, 0) + 1
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    def at(self, place: Place) -> tuple[Label, ...]:
        """Return the labels of a place.

        A label belongs to a place if they share more than half of the pixels of the smaller one. So a corpus with
        another grid of windows has the same labels.
        """
        labels, ends = self._of_source.get(place.source_id, ((), np.empty((0, 4), np.int64)))
        return tuple(labels[i] for i in np.flatnonzero(belong(ends, place)))


def belong(ends: NDArray[np.int64], place: Place) -> NDArray[np.bool_]:
    """Tell which places of a source belong to another place of it: they share more than half of the smaller one.

    Parameters
    ----------
    ends : (n, 4) int64
        First channel, channel after the last, first spectrum and spectrum after the last of each.
    """
    start_c, stop_c, start_s, stop_s = _ends(place)
    channels = np.minimum(ends[:, 1], stop_c) - np.maximum(ends[:, 0], start_c)
    spectra = np.minimum(ends[:, 3], stop_s) - np.maximum(ends[:, 2], start_s)
    shared = np.maximum(channels, 0) * np.maximum(spectra, 0)
    pixels = np.minimum((ends[:, 1] - ends[:, 0]) * (ends[:, 3] - ends[:, 2]), place.pixels)
    return np.asarray(2 * shared > pixels)


def _ends(place: Place) -> tuple[int, int, int, int]:
    return place.channel_start, place.channel_stop, place.spectrum_start, place.spectrum_stop
