"""What pictures and exports need to know of the result of a search, which a package above them makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.model.hit import Hit
from pipeline.model.values import Header, Window

if TYPE_CHECKING:  # numpy need not be loaded for values
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class CutOut:
    """The power of the windows of a hit, and where it comes from."""

    header: Header
    """Header of the cut-out itself."""
    power: NDArray[np.float32] = field(repr=False)
    """(spectra, channels), ascending frequency."""
    origin: str
    """Says of which file and range these samples are, and in which unit."""


class Described(Protocol):
    """Part of :class:`pipeline.search.QueryDescription` that pictures and exports need. ``str`` gives it in words."""

    @property
    def file(self) -> str:
        """Path or name of the query's file; empty for an array."""

    @property
    def target(self) -> str:
        """Name of the observed target; empty for an array."""

    @property
    def note(self) -> str:
        """What the user should know about the answer."""


class Result(Protocol):
    """Part of :class:`pipeline.search.SearchResult` that pictures and exports need."""

    @property
    def description(self) -> Described:
        """What was searched for."""

    @property
    def hits(self) -> Sequence[Hit]:
        """Hits, best first."""

    @property
    def corpus(self) -> Mapping[str, int]:
        """What was searched, in numbers."""

    @property
    def encoder(self) -> str:
        """Key of the encoder."""

    @property
    def root(self) -> Path:
        """Folder of the corpus."""

    @property
    def query(self) -> Mapping[str, Any]:
        """The query and how it was searched for."""

    @property
    def query_window(self) -> Window | None:
        """Position of the query. Without it, the axes of the query count channels and spectra."""

    @property
    def background(self) -> Any:
        """The :class:`pipeline.significance.Background`: histograms of what the query scores."""

    @property
    def words_of_verdict(self) -> str:
        """How many hits are more than chance."""

    def words_of_expected(self, hit: Hit) -> str:
        """Return how many unrelated windows score as well as a hit by chance."""

    def words_of_merged(self, hit: Hit) -> str:
        """Say how many windows a hit has, if it has several."""

    def rows(self) -> list[dict[str, Any]]:
        """Return one flat dictionary per hit."""

    def to_json(self) -> dict[str, Any]:
        """Return a plain dictionary."""

    def query_power(self) -> NDArray[np.floating]:
        """Return the query's linear power (T, F): noise has mean 1, masked pixels are NaN, frequency ascends."""

    def picture(self, kind: str = "png", most: int | None = None) -> bytes:
        """Return a picture of the query and its hits."""

    def cut_out_of(self, hit: Hit) -> CutOut:
        """Return the power of the windows of a hit."""
