"""Goes on from a wide view to a finer one where the finer one holds the pattern. It is the rule of an ingest.

An ingest leaves out windows of an averaged view that show nothing beyond one window of the plain view. A range that is
much wider than its pattern is first seen through such a view, where the corpus holds nothing like it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import QueryError
from pipeline.grid.tiling import Tiling
from pipeline.search.arranged_hits import MAX_ARRANGED_WINDOWS
from pipeline.search.origin import Origin
from pipeline.search.query import passes_gate, power_for_gate
from pipeline.search.query_windows import QueryWindows
from pipeline.search.snapshot import OpenCorpus
from pipeline.support.text import counted
from pipeline.views import PLAIN, View, shown_view

PLACES_TRIED = 16
"""Places of a plain window in a window of a view that are tried, for each width of the plain window."""

See = Callable[[View], QueryWindows]
"""Returns the windows of a range as a view shows them."""


@dataclass(frozen=True, slots=True)
class Sight:
    """The windows through which a range is searched for."""

    windows: QueryWindows
    used: NDArray[np.int64]
    """Indices of those that hold the pattern."""
    notes: tuple[str, ...]
    """How they were chosen, if that may surprise."""


def see_pattern(corpus: OpenCorpus, plain: Origin, views: Sequence[View], see: See) -> Sight:
    """Choose the windows through which a range is searched for.

    They are those of the first view in which the gate sees a signal. If one plain window explains each window of this
    view that holds a signal, these plain windows are taken in their place.

    Parameters
    ----------
    plain : Origin
        The scan, as the plain view shows it.
    views : sequence of View
        The view that suits the size of the range, and finer ones to go on with, coarsest first.
    see : callable

    Raises
    ------
    QueryError
        No view shows anything; the error is that of the first one.
    """
    shown: list[tuple[View, QueryWindows]] = []
    errors: list[QueryError] = []
    for view in views:
        try:
            windows = see(view)
        except QueryError as error:  # such as: the file is gone, and the corpus has kept no window of this view
            errors.append(error)
            continue
        shown.append((view, windows))
        if sight := _sight(corpus, plain, view, windows):
            if view == views[0]:
                return sight
            note = f"{views[0].name} shows no signal in this range; searched through {shown_view(view.name)}"
            return replace(sight, notes=(note, *sight.notes))
    if not shown:
        raise errors[0]
    used, note = shown[0][1].signals(corpus)
    return Sight(shown[0][1], used, (note,))


def _sight(corpus: OpenCorpus, plain: Origin, view: View, windows: QueryWindows) -> Sight | None:
    """Return what to search for through a view, or through the plain one in its place; None if there is no signal."""
    if view == PLAIN or corpus.config.scan.keep_all:
        used, no_signal = windows.signals(corpus)
        return None if no_signal else Sight(windows, used, ())
    from pipeline.scan import VIEW_FALSE_ALARM  # loads numba

    false_alarm = corpus.config.scan.false_alarm * VIEW_FALSE_ALARM
    used = np.array([i for i in windows.usable.tolist() if windows.rows[i] >= 0 or passes_gate(
        windows.cutouts[i], float(windows.spreads[i]), false_alarm)], np.int64)
    if not len(used):
        return None
    places = {}
    if len(used) <= MAX_ARRANGED_WINDOWS:
        places = {i: place for i in used.tolist() if windows.rows[i] < 0
                  and (place := _place_of_all(windows, i, view, plain.tiling, false_alarm))}
    if len(places) < len(used):
        note = (f"{len(places)} of {counted(len(used), 'window')} of {view.name} are left out: each shows no more than "
                "one window of 1x") if places else ""
        return Sight(windows, np.array([i for i in used.tolist() if i not in places], np.int64), (note,))
    found = QueryWindows.of(corpus, plain, [plain.window_at(block, channel) for block, channel in places.values()])
    count = f"one window of {shown_view(PLAIN.name)}"
    if len(places) > 1:
        count = f"{counted(len(places), 'window')} of {shown_view(PLAIN.name)}, one in each window of {view.name}"
    note = f"most of the power of this range is in {count}; searched through {shown_view(PLAIN.name)}"
    return Sight(found, found.signals(corpus)[0], (note,))


def _place_of_all(
    windows: QueryWindows, i: int, view: View, plain: Tiling, false_alarm: float
) -> tuple[int, int] | None:
    """Find a plain window without which a window of a view would not pass the gate.

    Returns
    -------
    int, int
        Time block and first channel in the plain view, in the middle of the places where it may be; None for no such
        window.
    """
    from pipeline.gate import images_pass  # loads numba

    window, grid = windows.windows[i], windows.origin.tiling.grid
    length, width = grid.integrations, -(-grid.channels // view.frequency)
    image = power_for_gate(windows.cutouts[i], float(windows.spreads[i]))
    last = grid.channels - width
    starts = sorted({*range(0, last, max(1, width // PLACES_TRIED)), last})
    first, stop = window.spectrum_start * view.time, window.spectrum_stop * view.time
    blocks = [block for block in range(first // length, min(stop // length + 2, plain.n_blocks))
              if plain.spectrum_of(block) < stop]
    rests = np.repeat(image[None], len(blocks) * len(starts), axis=0)
    for k, rest in enumerate(rests):
        row, start = plain.spectrum_of(blocks[k // len(starts)]) - first, starts[k % len(starts)]
        # the last blocks may overlap others, and lie in a window of the view only partly
        rest[max(0, row // view.time) : -(-(row + length) // view.time), start : start + width] = 1
    explains = ~images_pass(rests, float(windows.spreads[i]) ** -2, false_alarm).reshape(len(blocks), len(starts))
    if not explains.any():
        return None
    best = int(explains.sum(axis=1).argmax())
    fitting = np.array(starts)[explains[best]]
    return blocks[best], (window.channel_start + int(fitting[len(fitting) // 2])) * view.frequency
