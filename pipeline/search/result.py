"""What a search gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from pipeline.model import Hit, Window


@dataclass(frozen=True)
class SearchResult(Sequence[Hit]):
    """Hits, best first, and what was searched for. A sequence of :class:`~pipeline.model.Hit`."""

    query: Mapping[str, Any]
    """The query, the encoder and the resolution classes searched."""
    corpus: Mapping[str, int]
    """Of the corpus: windows (seen by the ingest), vectors of the encoder, how many of these were searched (of the
    right resolution, passing the filters), sources and generation."""
    hits: tuple[Hit, ...]
    query_window: Window | None
    """The window of the query that found the best hit; None where the query is an array."""
    query_power: Callable[[], NDArray[np.float64]]
    """Gives that window's power (T, F), noise at 1, masked pixels NaN."""

    def __len__(self) -> int:
        return len(self.hits)

    @overload
    def __getitem__(self, index: int) -> Hit: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Hit, ...]: ...
    def __getitem__(self, index: int | slice) -> Hit | tuple[Hit, ...]:
        return self.hits[index]

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary, as ``search --json`` prints it."""
        return {"query": dict(self.query), "corpus": dict(self.corpus), "hits": [hit.to_json() for hit in self.hits]}
