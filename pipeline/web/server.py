"""Runs the app on uvicorn, and keeps slow clients from holding connections."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from pipeline.errors import ConfigError
from pipeline.search import Corpus, OpenCorpus
from pipeline.web.app import make_app
from pipeline.web.parts import Parts, parts_of
from pipeline.web.settings import LOOPBACK, ServeSettings

HEADER_WAIT_S = 15.0
"""Longest time from the end of an answer, or from the connection, to the end of the head of the next request, in
seconds."""
MAX_CONNECTIONS = 512
"""Connections and requests at once; further ones get the answer 503."""


@dataclass(frozen=True, slots=True)
class Listening:
    """Where a server listens."""

    address: str
    """Such as ``http://127.0.0.1:8470``."""
    login: str
    """Address with the token that works once; empty if people have named tokens."""


class _Protocol(H11Protocol):
    """Closes a connection whose next request does not come in time. uvicorn waits for ever once a head has begun."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Wait for the first request."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """Take bytes. Those of an unfinished head do not make the wait longer."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(HEADER_WAIT_S, self._close_slow)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _close_slow(self) -> None:
        self._deadline = None
        if not self.transport.is_closing():
            self.transport.close()


def serve(settings: ServeSettings, on_start: Callable[[Listening], None],
          corpus_of: Callable[[OpenCorpus], Corpus] = Corpus) -> None:
    """Serve a corpus until the process is interrupted.

    Parameters
    ----------
    settings : ServeSettings
    on_start : callable
        Called once the server listens.
    corpus_of : callable
        Makes of an opened generation what is searched, here or on a cluster.

    Raises
    ------
    CorpusNotFound, CorpusDamaged, CorpusMismatch
        The corpus cannot be read.
    ConfigError
        The address cannot be listened at, or a file that the settings name cannot be used.
    """
    parts = parts_of(settings, corpus_of=corpus_of)
    server, listener = server_of(parts)
    on_start(listening(parts))
    with listener:
        server.run([listener])


def server_of(parts: Parts) -> tuple[uvicorn.Server, socket.socket]:
    """Return a server that is ready to run, and the socket that it listens at."""
    settings = parts.settings
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=128)
        # connections inherit it. Else the body of an answer waits 40 ms for the browser to acknowledge the head
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as error:
        raise ConfigError(f"--host {settings.host} --port {settings.port}: cannot be listened at "
                          f"({error.strerror or error}); choose another port, or --port 0 for any free one") from error
    parts.port = listener.getsockname()[1]
    try:
        config = uvicorn.Config(
            make_app(parts), http=_Protocol, ws="none", loop="asyncio", log_config=None, access_log=False,
            server_header=False, date_header=False, proxy_headers=False, limit_concurrency=MAX_CONNECTIONS,
            timeout_keep_alive=30, timeout_graceful_shutdown=5, h11_max_incomplete_event_size=32 << 10,
            ssl_certfile=settings.tls_cert, ssl_keyfile=str(settings.tls_key) if settings.tls_key else None)
        config.load()
    except OSError as error:
        listener.close()
        raise ConfigError(f"{settings.tls_cert}: certificate or key cannot be used ({error})") from error
    return uvicorn.Server(config), listener


def listening(parts: Parts) -> Listening:
    """Return where a server listens; with a new token that works once, unless people have named tokens.

    Whoever starts such a server has a named token, too: its output may be a log that others read.
    """
    settings = parts.settings
    name = settings.names[0] if settings.names else ""
    host = name or ("127.0.0.1" if settings.host in LOOPBACK - {"::1"} else settings.host)
    if not name and ":" in host:
        host = f"[{host}]"
    if not name or not (":" in name or settings.behind_proxy):
        host = f"{host}:{parts.port}"
    address = f"{settings.scheme_of(host)}://{host}"
    if settings.tokens is not None:
        return Listening(address, "")
    return Listening(address, f"{address}/login?token={parts.access.new_one_time_token()}")
