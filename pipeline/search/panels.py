"""What the pictures of an arranged search show: all windows of the pattern, and of each place where it was found."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.model import Hit, Window
from pipeline.plot import Extent, Panel, Piece
from pipeline.search.query import Query
from pipeline.search.snapshot import OpenCorpus


@dataclass(frozen=True, slots=True)
class Panels:
    """Makes the panels of a query and its hits. All panels reach as far as the pattern does."""

    corpus: OpenCorpus
    power_of: Callable[[Sequence[str]], Sequence[NDArray[np.float64]]]
    """Gives the power of stored windows, named ``SOURCE/NUMBER``."""
    query: Query
    matched: Mapping[tuple[str, int], int]
    """Source and number of the window that names a hit → window of the query that it resembles."""

    def of_query(self) -> Panel:
        """Return the panel of the pattern."""
        return Panel.around([Piece(spectrum, channel, self.query.power_of(i))
                             for i, (spectrum, channel) in enumerate(self.query.positions.tolist())])

    def of_hit(self, hit: Hit) -> Panel:
        """Return the panel of the windows of a hit. Where a window of the pattern was not found, it stays blank."""
        tiling = self.corpus.tiling(hit.source_id)
        windows = [hit.window, *(tiling.window(hit.source_id, number) for number in hit.merged)]
        powers = self.power_of([f"{hit.source_id}/{window.number}" for window in windows])
        pieces = [Piece(window.spectrum_start, window.channel_start, power)
                  for window, power in zip(windows, powers, strict=True)]
        return Panel.around(pieces, *self._expected(hit))

    def asked(self, hit: Hit) -> tuple[NDArray[np.float64], Window | None] | None:
        """Return the power of the window of the query that a hit resembles, and where it lies.

        Nothing is known of hits of another view than the one of this query.
        """
        i = self.matched.get((hit.source_id, hit.window.number))
        return None if i is None else (self.query.power_of(i), self.query.window_at(i))

    def _expected(self, hit: Hit) -> list[Extent]:
        """Return where the pattern would lie at a hit; nothing for a hit that another view has found."""
        i = self.matched.get((hit.source_id, hit.window.number))
        if i is None:
            return []
        first, (spectra, channels) = self.query.positions.min(axis=0), self.query.cutouts.shape[1:]
        shift = np.array([hit.window.spectrum_start, hit.window.channel_start]) - self.query.positions[i]
        low, high = (first + shift).tolist(), (self.query.positions.max(axis=0) + shift).tolist()
        return [(low[0], high[0] + spectra, low[1], high[1] + channels)]
