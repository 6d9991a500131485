"""What an export needs to know of the result of a search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from pipeline.export.cut_outs import CutOut
from pipeline.model import Hit


class Described(Protocol):
    """Part of :class:`pipeline.search.QueryDescription` that an export needs. ``str`` gives it in words."""

    @property
    def note(self) -> str:
        """What the user should know about the answer."""


class Result(Protocol):
    """Part of :class:`pipeline.search.SearchResult` that an export needs."""

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
    def words_of_verdict(self) -> str:
        """How many hits are more than chance."""

    @property
    def query(self) -> Mapping[str, Any]:
        """The query and how it was searched for."""

    def words_of_expected(self, hit: Hit) -> str:
        """Return how many unrelated windows score as well as a hit by chance."""

    def words_of_merged(self, hit: Hit) -> str:
        """Say how many windows a hit has, if it has several."""

    def rows(self) -> list[dict[str, Any]]:
        """Return one flat dictionary per hit."""

    def to_json(self) -> dict[str, Any]:
        """Return a plain dictionary."""

    def picture(self, kind: str = "png", most: int | None = None) -> bytes:
        """Return a picture of the query and its hits."""

    def cut_out_of(self, hit: Hit) -> CutOut:
        """Return the power of the windows of a hit."""
