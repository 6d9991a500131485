"""Answers that are 8-bit codes: what they cover is in the headers, and browsers keep them."""

from __future__ import annotations

from typing import Any

import numpy as np
from fastapi import Request, Response
from numpy.typing import NDArray

from pipeline.web.records import ScaleRecord

IMMUTABLE = "private, max-age=31536000, immutable"
BYTES: dict[int | str, dict[str, Any]] = {
    200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}}
"""Description of such an answer in the OpenAPI document."""


def bytes_of(request: Request, codes: NDArray[np.uint8], name: str, channels: tuple[int, int],
             scale: ScaleRecord, spectra: tuple[int, int] | None = None) -> Response:
    """Return codes; or only that they have not changed, if the browser has them.

    Parameters
    ----------
    request : Request
    codes : (rows, columns) uint8
    name : str
        Names these codes for ever: under one name there is one content.
    channels : (int, int)
        First channel, and the one after the last.
    scale : ScaleRecord
        What a code means.
    spectra : (int, int), optional
        First spectrum, and the one after the last.
    """
    headers = {
        "ETag": f'"{name}"', "Cache-Control": IMMUTABLE,
        "X-Rows": str(codes.shape[0]), "X-Columns": str(codes.shape[1]),
        "X-Channel-Start": str(channels[0]), "X-Channel-Stop": str(channels[1]),
        "X-Scale": f"asinh; low_db={scale.low_db:g}; high_db={scale.high_db:g}; noise_spectra={scale.noise_spectra:g}",
    }
    if spectra is not None:
        headers |= {"X-Spectrum-Start": str(spectra[0]), "X-Spectrum-Stop": str(spectra[1])}
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(codes.tobytes(), media_type="application/octet-stream", headers=headers)
