"""Results of searches, kept for a while under an id, and the requests behind them."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from pydantic import BaseModel, ConfigDict, create_model

from pipeline.errors import ParameterError
from pipeline.search import SearchRequest, SearchResult
from pipeline.web.archive import Archive, Pinned
from pipeline.web.problems import Problem
from pipeline.web.settings import MAX_HITS, MAX_PIXELS

MAX_KEPT = 256
"""Results that are kept."""
MAX_KEPT_HITS = 50_000
"""Hits that all kept results may have together."""
_NOT_ASKED = frozenset({"one_shot"})
_TYPES: Mapping[str, Any] = {"file": str | None, "power": list[list[float | None]] | None,
                             "filters": dict[str, Any] | None}


def _body() -> type[BaseModel]:
    """Return the model of the body of a search: the parameters of a request, which are described there."""
    types = {"bool": bool, "int": int, "float": float, "str": str, "None": None}
    made: dict[str, Any] = {}
    for field in fields(SearchRequest):
        if field.name not in _NOT_ASKED:
            kind = _TYPES.get(field.name) or eval(str(field.type), {"__builtins__": types}, {})
            made[field.name] = (kind, field.default)
    model: type[BaseModel] = create_model("SearchBody", __config__=ConfigDict(extra="forbid"), **made)
    return model


SearchBody = _body()
"""Body of a search: the parameters of :class:`pipeline.search.SearchRequest`."""


@dataclass(frozen=True)
class KeptResult:
    """A result of a search under its id."""

    id: str
    pinned: Pinned
    result: SearchResult
    asked: Mapping[str, Any]
    """The request as it was sent."""

    def to_json(self) -> dict[str, Any]:
        """Return the answer to a search."""
        background = self.result.background
        return {"id": self.id, "generation": self.pinned.generation, "request": dict(self.asked),
                **self.result.to_json(), "words_of_verdict": self.result.words_of_verdict,
                "histogram": {"edges": list(background.edges), "counts": list(background.counts)}}


class Results:
    """The last results. Threads may share it."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, KeptResult] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, pinned: Pinned, result: SearchResult, asked: Mapping[str, Any]) -> KeptResult:
        """Keep a result. The same request to the same generation has the same id."""
        text = json.dumps([pinned.generation, result.encoder, asked], sort_keys=True)
        kept = KeptResult(hashlib.sha256(text.encode()).hexdigest()[:20], pinned, result, asked)
        with self._lock:
            self._kept[kept.id] = kept
            self._kept.move_to_end(kept.id)
            while len(self._kept) > 1 and (len(self._kept) > MAX_KEPT or sum(
                    len(one.result) + 1 for one in self._kept.values()) > MAX_KEPT_HITS):
                self._kept.popitem(last=False)
        return kept

    def get(self, result_id: str) -> KeptResult:
        """Return a result; raise :class:`Problem` if it is not kept any more."""
        with self._lock:
            if result_id in self._kept:
                self._kept.move_to_end(result_id)
                return self._kept[result_id]
        raise Problem(404, "no_such_search", f"no result is kept under {result_id[:40]!r}",
                      "search again: the address of a page holds the request")


def request_of(archive: Archive, asked: Mapping[str, Any]) -> SearchRequest:
    """Make the request of a search from what was sent.

    Raises
    ------
    Problem
        A file is named that may not be read, or a limit of the server is exceeded.
    ParameterError
        A value cannot be used.
    """
    record = dict(asked)
    if isinstance(record.get("file"), str):
        record["file"] = archive.file_of_query(record["file"])
        if os.path.isfile(record["file"]) and record["file"] in archive.pinned.opened.manifest.sources:
            raise Problem(409, "bad_file", f"a file in the working folder of the server has the name of a source, "
                          f"{record['file']}", "tell whoever runs the server to start it in another folder")
    if (k := record.get("k")) is not None and isinstance(k, int) and k > MAX_HITS:
        raise ParameterError(f"k may be at most {MAX_HITS} here, got {k}")
    power = record.get("power")
    if isinstance(power, list) and sum(len(row) for row in power if isinstance(row, list)) > MAX_PIXELS:
        raise ParameterError(f"power may have at most {MAX_PIXELS:,} pixels here")
    return SearchRequest.from_json(record)
