"""Errors of the API: one JSON form for all of them, with a status, a code, what is wrong and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from pipeline.errors import (
    ConfigError,
    CorpusDamaged,
    CorpusError,
    CorpusLocked,
    EncoderError,
    LabelError,
    ParameterError,
    PipelineError,
    QueryError,
    RunError,
    SourceError,
)
from pipeline.support.text import shown
from pipeline.web.json_answer import JsonAnswer


@dataclass(frozen=True, slots=True)
class ProblemBody:
    """What is wrong with a request, or with the server."""

    code: str
    """Stable word for the kind of error."""
    message: str
    hint: str = ""
    """What to do about it; empty if the message says it."""
    parameters: tuple[str, ...] = ()
    """Names of parameters in the message. A page can put the labels of its fields in their place."""


@dataclass(frozen=True, slots=True)
class ProblemAnswer:
    """The body of every answer that is an error."""

    error: ProblemBody


class Problem(Exception):
    """An error that becomes an answer.

    Parameters
    ----------
    status : int
        HTTP status.
    code, message, hint : str
        See :class:`ProblemBody`.
    headers : mapping, optional
        Further headers of the answer.
    parameters : tuple of str
        See :class:`ProblemBody`.
    """

    def __init__(self, status: int, code: str, message: str, hint: str = "",
                 headers: Mapping[str, str] | None = None, parameters: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.hint, self.headers = status, code, message, hint, headers
        self.parameters = parameters

    def response(self) -> JSONResponse:
        """Return the answer."""
        body = {"error": {"code": self.code, "message": shown(self.message), "hint": self.hint,
                          "parameters": self.parameters}}
        return JsonAnswer(body, self.status, {"Cache-Control": "no-store", **(self.headers or {})})


_KINDS: tuple[tuple[type[PipelineError], int, str, str], ...] = (
    (ParameterError, 400, "bad_parameter", ""),
    (LabelError, 409, "bad_label", ""),
    (CorpusLocked, 503, "busy", "another process is writing; try again in a moment"),
    (QueryError, 404, "not_found", ""),
    (SourceError, 409, "file_unusable", "the file of the source cannot be read; its stored windows can"),
    (EncoderError, 503, "no_encoder", "the server lacks the weights of the encoder"),
    (RunError, 503, "no_cluster", "the cluster cannot search now: try again later, or tell whoever runs it"),
    (CorpusDamaged, 500, "corpus_damaged", "tell whoever runs the server: lookalike verify says what is damaged"),
    (CorpusError, 409, "corpus_changed", "move to the newer generation, then ask again"),
    (ConfigError, 500, "bad_settings", "tell whoever runs the server"),
)
"""Kind of error → status, code and hint. The first that fits counts."""
_OF_STATUS = {401: "not_logged_in", 403: "forbidden", 404: "not_found", 405: "method_not_allowed"}


def problem_of(error: PipelineError) -> Problem:
    """Return an error of this package as a problem."""
    if isinstance(error, ConfigError) and isinstance(error.__cause__, ImportError):
        return Problem(501, "not_installed", str(error), "tell whoever runs the server")
    words = error.message if isinstance(error, SourceError) else str(error)  # people need not see its reason code
    for kind, status, code, hint in _KINDS:
        if isinstance(error, kind):
            return Problem(status, code, words, hint, parameters=error.parameters)
    return Problem(500, "failed", str(error))


def wants_page(headers: Mapping[str, str], path: str) -> bool:
    """Tell whether a person asks for a page, not a program for data."""
    return "text/html" in headers.get("accept", "") and not path.startswith(("/api/", "/static/"))


def add_handlers(app: FastAPI) -> None:
    """Let an app answer every expected error in the one form. The guard answers the others."""

    async def of_problem(request: Request, error: Any) -> JSONResponse:
        archive = request.app.state.parts.archive
        problem = error if isinstance(error, Problem) else problem_of(error)
        if isinstance(error, CorpusError) and not archive.root.is_dir():
            problem = Problem(503, "corpus_away", f"the corpus {archive.root.name} is not there at the moment",
                              "its disk may be away: try again later, or tell whoever runs the server")
        problem.message = archive.pinned.shorten(problem.message)
        return problem.response()

    async def of_http(request: Request, error: Any) -> Response:
        if error.status_code == 404 and wants_page(request.headers, request.url.path):
            page: Response = request.app.state.pages.page("missing.html", request, 404)
            return page
        code = _OF_STATUS.get(error.status_code, "failed")
        return Problem(error.status_code, code, str(error.detail), headers=error.headers).response()

    async def of_validation(request: Request, error: Any) -> JSONResponse:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path"))
        return Problem(400, "bad_parameter", f"{where}: {first['msg']}" if where else str(first["msg"]),
                       "see /api/v1/openapi.json", parameters=(where,) if where else ()).response()

    app.add_exception_handler(Problem, of_problem)
    app.add_exception_handler(PipelineError, of_problem)
    app.add_exception_handler(HTTPException, of_http)
    app.add_exception_handler(RequestValidationError, of_validation)
