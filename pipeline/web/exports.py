"""Results of searches as files, in the formats of :mod:`pipeline.export`."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import Response

from pipeline.export import encoded
from pipeline.web.problems import Problem
from pipeline.web.results import KeptResult
from pipeline.web.short_paths import shortened_page

MEDIA_TYPES: Mapping[str, str] = {
    "json": "application/json",
    "csv": "text/csv; charset=utf-8",
    "vot": "application/x-votable+xml",
    "parquet": "application/vnd.apache.parquet",
    "html": "text/html; charset=utf-8",
    "png": "image/png",
    "pdf": "application/pdf",
    "svg": "image/svg+xml",
}
"""Format → media type. Others are not offered."""


def export_of(kept: KeptResult, form: str) -> Response:
    """Return a result as a file of some format.

    Raises
    ------
    Problem
        The format is not offered.
    ConfigError
        It needs a package that is not installed.
    """
    if form not in MEDIA_TYPES:
        raise Problem(404, "no_such_format", f"results are not given as .{form[:20]}",
                      f"use one of {', '.join(MEDIA_TYPES)}")
    content = encoded(kept.result, form)
    if form == "html":  # its commands name the folder of the corpus
        content = shortened_page(content.decode(), kept.pinned.shorten).encode()
    return Response(content, media_type=MEDIA_TYPES[form], headers={
        "Content-Disposition": f'attachment; filename="lookalikes-{kept.id}.{form}"'})
