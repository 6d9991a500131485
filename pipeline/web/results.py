"""Results of searches, kept for a while under an id."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.search import SearchResult
from pipeline.web.archive import Pinned
from pipeline.web.problems import Problem

MAX_KEPT = 256
"""Results that are kept."""
MAX_KEPT_HITS = 50_000
"""Hits that all kept results may have together."""


@dataclass(frozen=True)
class KeptResult:
    """A result of a search under its id."""

    id: str
    pinned: Pinned
    result: SearchResult
    """The result, in which files are named by short paths."""
    asked: Mapping[str, Any]
    """The request as it was sent, without the pixels of an array."""

    def to_json(self) -> dict[str, Any]:
        """Return the answer to a search."""
        background = self.result.background
        return {"id": self.id, "generation": self.pinned.generation, "request": dict(self.asked),
                **self.result.to_json(), "words_of_verdict": self.result.words_of_verdict,
                "histogram": {"edges": list(background.edges), "counts": list(background.counts)}}


class Results:
    """The last results. Threads may share it.

    Parameters
    ----------
    on_drop : callable
        Called with each result that is dropped.
    """

    def __init__(self, on_drop: Callable[[KeptResult], None] = lambda dropped: None) -> None:
        self._kept: OrderedDict[str, KeptResult] = OrderedDict()
        self._lock = threading.Lock()
        self._on_drop = on_drop

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, pinned: Pinned, result: SearchResult, asked: Mapping[str, Any]) -> KeptResult:
        """Keep a result. The same request to the same generation has the same id. The oldest ones make room for it."""
        text = json.dumps([pinned.generation, result.encoder, asked], sort_keys=True)
        own = {name: value for name, value in asked.items() if name != "power"}
        if power := asked.get("power"):
            own["power_shape"] = [len(power), len(power[0])]
        kept = KeptResult(hashlib.sha256(text.encode()).hexdigest()[:20], pinned, pinned.short(result), own)
        dropped = []
        with self._lock:
            self._kept[kept.id] = kept
            self._kept.move_to_end(kept.id)
            while len(self._kept) > 1 and (len(self._kept) > MAX_KEPT or sum(
                    len(one.result) for one in self._kept.values()) > MAX_KEPT_HITS):
                dropped.append(self._kept.popitem(last=False)[1])
        for one in dropped:
            self._on_drop(one)
        return kept

    def uses(self, upload_id: str) -> bool:
        """Tell whether a kept result is of an array that was sent."""
        with self._lock:
            return any(one.asked.get("upload") == upload_id for one in self._kept.values())

    def get(self, result_id: str) -> KeptResult:
        """Return a result; raise :class:`Problem` if it is not kept any more."""
        with self._lock:
            if result_id in self._kept:
                self._kept.move_to_end(result_id)
                return self._kept[result_id]
        raise Problem(404, "no_such_search", f"no result is kept under {result_id[:40]!r}",
                      "search again: the address of a page holds the request")
