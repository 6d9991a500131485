"""What a picture needs to know of the result of a search."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.model import Hit, Window


class Described(Protocol):
    """Part of :class:`pipeline.search.QueryDescription` that a picture needs."""

    @property
    def file(self) -> str:
        """Path or name of the query's file; empty for an array."""

    @property
    def target(self) -> str:
        """Name of the observed target; empty for an array."""


class Result(Protocol):
    """Part of :class:`pipeline.search.SearchResult` that a picture needs."""

    @property
    def description(self) -> Described:
        """What was searched for; its file and target are named in the picture."""

    @property
    def hits(self) -> Sequence[Hit]:
        """Hits, best first; at most :data:`pipeline.plot.MAX_HITS` are drawn."""

    @property
    def query_window(self) -> Window | None:
        """Position of the query. Without it, the axes of the query count channels and spectra."""

    @property
    def background(self) -> Any:
        """The :class:`pipeline.significance.Background`: histograms of what the query scores."""

    @property
    def words_of_verdict(self) -> str:
        """How many hits are more than chance."""

    def query_power(self) -> NDArray[np.floating]:
        """Return the query's linear power (T, F): noise has mean 1, masked pixels are NaN, frequency ascends."""
