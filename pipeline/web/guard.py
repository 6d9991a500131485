"""What every request must pass before any code of the API sees it, and what every answer carries.

A page of another site can make a browser send requests here. So the value of ``Host`` must be one of a fixed list (DNS
rebinding), requests that are not GET must come from a page of this server, and no other origin may read an answer.
"""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.errors import ConfigError
from pipeline.web.access import Access, Person
from pipeline.web.metrics import Metrics
from pipeline.web.problems import Problem, wants_page
from pipeline.web.settings import MAX_BODY_BYTES

OPEN_PATHS = ("/login", "/healthz", "/static/")
"""Paths that need no login. The first two are exact; the last is a folder."""
BODY_WAIT_S = 20.0
"""Longest time that a client may take to send a body, in seconds."""
SEND_WAIT_S = 60.0
"""Longest time that a client may take to accept a piece of an answer, in seconds."""
POLICY = ("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
          "font-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'")
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
"""Headers of every answer."""
log = logging.getLogger(__name__)


class Guard:
    """ASGI middleware around the whole app.

    Parameters
    ----------
    app : ASGI app
    access : Access
    hosts : callable
        Gives the values of ``Host`` that are allowed.
    cookie : callable
        Gives the name of the cookie.
    metrics : Metrics
    scheme_of : callable
        Gives the scheme of addresses with a value of ``Host``.
    """

    def __init__(self, app: ASGIApp, *, access: Access, hosts: Callable[[], frozenset[str]],
                 cookie: Callable[[], str], metrics: Metrics, scheme_of: Callable[[str], str]) -> None:
        self._app = app
        self._access = access
        self._hosts = hosts
        self._cookie = cookie
        self._metrics = metrics
        self._scheme_of = scheme_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check a request, pass it on, and add headers to the answer."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return  # no websockets
        answer, body = _Answer(send), _Body(scope, receive)
        began = time.perf_counter()
        try:
            self._check(scope)
            body.check_length()
            await self._app(scope, body, answer.unless(body))
        except Exception as error:
            problem = body.problem or _problem_of(error)
            if answer.status:
                raise
            await problem.response()(scope, receive, answer)
        finally:
            # the pattern of the address, never the address: that holds tokens, and what people look for
            route = str(getattr(scope.get("route"), "path", scope.get("root_path") or "other"))
            took_s = time.perf_counter() - began
            self._metrics.count(scope["method"], route, answer.status, took_s)
            log.info("%s %s %d %.0f ms", scope["method"], route, answer.status, 1000 * took_s)

    def _check(self, scope: Scope) -> None:
        """Refuse what must not come in, and note who sends it."""
        headers = Headers(scope=scope)
        if len(headers.getlist("host")) != 1 or headers["host"].lower() not in self._hosts():
            raise Problem(421, "wrong_host", "this server does not answer under this name",
                          "use the address that lookalike serve printed, or start it with --name")
        is_write = scope["method"] not in ("GET", "HEAD")
        token = headers.get("authorization", "")
        person = self._access.person_of_token(token[7:]) if token.lower().startswith("bearer ") else None
        if is_write:
            origin, host = headers.get("origin"), headers["host"].lower()
            if origin is not None and origin.lower() != f"{self._scheme_of(host)}://{host}":
                raise Problem(403, "foreign_origin", "a page of another site sent this request")
            if origin is None and person is None:
                raise Problem(403, "no_origin", "a request with a cookie must say which page it comes from",
                              "programs send a named token instead: Authorization: Bearer TOKEN")
        if person is None:
            person = self._person_of_cookie(headers.get("cookie", ""))
        scope.setdefault("state", {})["person"] = person
        if person is None and not _is_open(scope["path"]):
            if scope["method"] == "GET" and wants_page(headers, scope["path"]):
                raise Problem(303, "not_logged_in", "log in first", headers={"Location": "/login"})
            raise Problem(401, "not_logged_in", "log in first",
                          "open the address that lookalike serve printed; programs send Authorization: Bearer TOKEN")

    def _person_of_cookie(self, header: str) -> Person | None:
        try:
            morsel = SimpleCookie(header).get(self._cookie())
            return self._access.person_of_cookie(morsel.value) if morsel else None
        except (CookieError, ValueError, TypeError):
            return None


def _problem_of(error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, ConfigError):  # of the file of tokens. Whoever asks is not known, so gets no path
        log.error("%s", error)
        return Problem(500, "bad_settings", "the file of named tokens cannot be used",
                       "tell whoever runs the server: its log says why")
    return _unexpected(error)


def _unexpected(error: Exception) -> Problem:
    """Log an error that nobody has expected. Its message is left out, as it may hold what somebody looks for."""
    log.error("%s\n%s", type(error).__name__, "".join(traceback.format_tb(error.__traceback__)))
    return Problem(500, "failed", "the server failed", "its log says why")


def _is_open(path: str) -> bool:
    return path in OPEN_PATHS[:2] or path.startswith(OPEN_PATHS[2])


class _Answer:
    """Sends an answer with the headers of all answers, to a client that accepts it in time."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.status = 0
        """Status of the answer; 0 before it begins."""

    async def __call__(self, message: Message) -> None:
        """Send a message."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Cache-Control", "no-store")
        async with asyncio.timeout(SEND_WAIT_S):
            await self._send(message)

    def unless(self, body: _Body) -> Send:
        """Return a function that sends messages, or raises what was wrong with the body. The framework hides that."""

        async def sending(message: Message) -> None:
            if body.problem is not None and not self.status:
                raise body.problem
            await self(message)

        return sending


class _Body:
    """Receives a body of limited size, in limited time."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        self._receive = receive
        self._size = 0
        self._until_s = time.monotonic() + BODY_WAIT_S
        self._is_complete = False
        self.problem: Problem | None = None
        """What is wrong with the body."""
        self._declared = Headers(scope=scope).get("content-length", "0")

    def check_length(self) -> None:
        """Refuse a body that says that it is too large."""
        if not self._declared.isdecimal() or len(self._declared) > 20 or int(self._declared) > MAX_BODY_BYTES:
            raise _too_large()

    async def __call__(self) -> Message:
        """Return the next message of the client."""
        if self._is_complete:  # what follows is only the end of the connection, which may take its time
            return await self._receive()
        try:
            async with asyncio.timeout(max(0.0, self._until_s - time.monotonic())):
                message = await self._receive()
        except TimeoutError:
            self.problem = Problem(408, "too_slow", f"the body did not arrive within {BODY_WAIT_S:g} s",
                                   headers={"Connection": "close"})
            raise self.problem from None
        self._size += len(message.get("body", b""))
        if self._size > MAX_BODY_BYTES:
            self.problem = _too_large()
            raise self.problem
        self._is_complete = not message.get("more_body", False)
        return message


def _too_large() -> Problem:
    return Problem(413, "too_large", f"a body may have at most {MAX_BODY_BYTES >> 20} MiB",
                   headers={"Connection": "close"})
