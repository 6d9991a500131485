"""Answers in JSON, whatever the names of files are."""

from __future__ import annotations

import json
import math
from typing import Any

from fastapi.responses import JSONResponse


class JsonAnswer(JSONResponse):
    """A JSON answer in ASCII.

    The name of a file may hold bytes that are not UTF-8. Python keeps each as half of a surrogate pair, which UTF-8
    cannot express, but JSON can: as an escape, which a client reads back. Numbers without a value are null.
    """

    def render(self, content: Any) -> bytes:
        """Return the body."""
        try:
            return _dumped(content)
        except ValueError:  # a NaN or an infinity
            return _dumped(_without_nan(content))


def _dumped(content: Any) -> bytes:
    return json.dumps(content, allow_nan=False, separators=(",", ":")).encode("ascii")


def _without_nan(content: Any) -> Any:
    if isinstance(content, dict):
        return {name: _without_nan(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_without_nan(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content
