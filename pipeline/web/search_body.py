"""The body of a search: which parameters it may have, and the request that is made of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, get_type_hints

from pydantic import BaseModel, ConfigDict, create_model

from pipeline.errors import ParameterError, parameter
from pipeline.search import SearchRequest
from pipeline.web.archive import Archive, Pinned
from pipeline.web.problems import Problem
from pipeline.web.settings import MAX_HITS, MAX_PIXELS
from pipeline.web.uploads import Uploads

_NOT_ASKED = frozenset({"one_shot"})
_TYPES: Mapping[str, Any] = {"file": str | None, "power": list[list[float | None]] | None,
                             "filters": dict[str, Any] | None}


def _model() -> type[BaseModel]:
    """Return the model of the body: the parameters of a request, and ``upload``, an array that was sent before."""
    hints = get_type_hints(SearchRequest)
    made: dict[str, Any] = {field.name: (_TYPES.get(field.name, hints[field.name]), field.default)
                            for field in fields(SearchRequest) if field.name not in _NOT_ASKED}
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
    upload_id = record.pop("upload", None)
    if upload_id is None:
        return SearchRequest.from_json(record)
    if any(record.get(name) is not None for name in ("file", "window", "power")):
        raise ParameterError("give one of file, window, power and upload")
    return replace(SearchRequest.from_json({**record, "power": [[1.0]]}), power=uploads.get(upload_id))


def _file(archive: Archive, pinned: Pinned, text: str) -> str:
    file = archive.file_of_query(pinned, text)
    if file in pinned.opened.manifest.sources and os.path.isfile(file):  # the search would take the file
        raise Problem(409, "bad_file", f"a file in the working folder of the server has the name of the source {file}",
                      "tell whoever runs the server to start it in another folder")
    return file
