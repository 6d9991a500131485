"""The body of a search: which parameters it may have, and the request that is made of them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, create_model

from pipeline.errors import ParameterError, parameter
from pipeline.search import ScanFinder, SearchRequest, request_of_pixels, with_file
from pipeline.web.archive import Archive, Pinned
from pipeline.web.problems import Problem
from pipeline.web.settings import MAX_HITS, MAX_PIXELS
from pipeline.web.uploads import Uploads

ASKED = ("file", "f_start_mhz", "f_stop_mhz", "t_start_s", "t_stop_s", "window", "power", "signal", "vector", "like",
         "unlike", "k", "exact", "careful", "encoder", "polarisation", "view", "all_views", "each_window",
         "all_resolutions", "rerank", "rerank_drift", "rerank_mirror", "expand", "near_frequency", "filters", "on_off",
         "on_only", "on_off_power", "per_file", "per_mhz", "min_score", "expected_below", "q")
"""Parameters of a request that a body may have. A new one is added by hand, once it is clear that no file can be read
through it."""
_EXAMPLES = ("like", "unlike")
_TYPES: Mapping[str, Any] = {"file": str | None, "power": list[list[float | None]] | None,
                             "filters": dict[str, Any] | None,
                             **{name: list[str | list[list[float | None]]] for name in _EXAMPLES}}


def _model() -> type[BaseModel]:
    """Return the model of the body: parameters of a request, and ``upload``, an array that was sent before."""
    hints, defaults = get_type_hints(SearchRequest), {field.name: field.default for field in fields(SearchRequest)}
    made: dict[str, Any] = {name: (_TYPES.get(name, hints[name]), defaults[name]) for name in ASKED if name in hints}
    model: type[BaseModel] = create_model("SearchBody", __config__=ConfigDict(extra="forbid"), **made,
                                          upload=(str | None, None))
    return model


SearchBody = _model()
"""Body of a search. :class:`pipeline.search.SearchRequest` describes its fields."""


def request_of(archive: Archive, pinned: Pinned, uploads: Uploads, asked: Mapping[str, Any]) -> SearchRequest:
    """Make the request of a search from what was sent.

    Raises
    ------
    Problem
        A file is named that may not be read, or an array that is not kept any more.
    ParameterError
        A value cannot be used, or a limit of the server is exceeded.
    """
    record = dict(asked)
    if isinstance(record.get("file"), str):
        record["file"] = _file(archive, pinned, record["file"])
    if (record.get("k") or 0) > MAX_HITS:
        raise ParameterError(f"{parameter('k')} may be at most {MAX_HITS} here, got {record['k']}")
    if sum(map(len, record.get("power") or ())) > MAX_PIXELS:
        raise ParameterError(f"{parameter('power')} may have at most {MAX_PIXELS:,} pixels here")
    signal = record.get("signal")
    lists = {name: record.get(name) for name in ("window", "vector")}
    lists["signal"] = signal.get("amplitudes") if isinstance(signal, dict) else None
    for name, many in lists.items():
        if isinstance(many, list) and len(many) > 4 * MAX_HITS:
            raise ParameterError(f"{parameter(name)} may have at most {4 * MAX_HITS:,} items here, got {len(many):,}")
    for name in _EXAMPLES:
        if name in record:
            record[name] = _examples(archive, pinned, record[name], name)
    upload_id = record.pop("upload", None)
    if upload_id is None:
        return _with_short_paths(SearchRequest.from_json(record), pinned)
    if any(record.get(name) is not None for name in ("file", "window", "power")):
        raise ParameterError("give one of file, window, power and upload")
    request = replace(SearchRequest.from_json({**record, "power": [[1.0]]}), power=uploads.get(upload_id))
    row = uploads.row_of(upload_id)
    request = request if row is None else request_of_pixels(row, ScanFinder(pinned.opened), request)
    return _with_short_paths(request, pinned)


def _with_short_paths(request: SearchRequest, pinned: Pinned) -> SearchRequest:
    """Return a request whose filters see the short paths of files alone: patterns would tell where files lie."""
    if request.filters is None:
        return request
    return replace(request, filters=request.filters.naming_files_by(pinned.short_paths.of_file))


def _examples(archive: Archive, pinned: Pinned, examples: Sequence[Any], name: str) -> list[Any]:
    """Return examples whose ranges are of files that may be read; see :func:`request_of` for the errors."""
    pixels = sum(len(row) for one in examples if not isinstance(one, str) for row in one)
    if len(examples) > MAX_HITS or pixels > MAX_PIXELS:
        raise ParameterError(f"{parameter(name)} may have at most {MAX_HITS} examples and {MAX_PIXELS:,} pixels here")
    return [with_file(one, lambda file: _file(archive, pinned, file)) if isinstance(one, str) else one
            for one in examples]


def _file(archive: Archive, pinned: Pinned, text: str) -> str:
    file = archive.file_of_query(pinned, text)
    if file in pinned.opened.manifest.sources and os.path.isfile(file):  # the search would take the file
        raise Problem(409, "bad_file", f"a file in the working folder of the server has the name of the source {file}",
                      "tell whoever runs the server to start it in another folder")
    return file
