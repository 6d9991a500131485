"""Puts the parts of the server together."""

from __future__ import annotations

import getpass
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

import pipeline
from pipeline.web import api, occupancy, pages, searching
from pipeline.web.access import Access, Person, own_key
from pipeline.web.archive import Archive, try_read
from pipeline.web.decoded import DecodedChannels
from pipeline.web.guard import Guard
from pipeline.web.metrics import Metrics
from pipeline.web.pool import Pool
from pipeline.web.problems import ProblemAnswer, add_handlers
from pipeline.web.results import Results
from pipeline.web.settings import ServeSettings


@dataclass
class Parts:
    """What a server consists of."""

    settings: ServeSettings
    archive: Archive
    access: Access
    pool: Pool
    results: Results = field(default_factory=Results)
    decoded: DecodedChannels = field(default_factory=DecodedChannels)
    metrics: Metrics = field(default_factory=Metrics)
    port: int = 0
    """Port that the server listens at. It is known once it listens."""

    @property
    def cookie(self) -> str:
        """Name of the cookie. Browsers do not tell ports apart, so the port is in the name."""
        return f"lookalike_{self.port}"


def parts_of(settings: ServeSettings, key: bytes | None = None) -> Parts:
    """Open the corpus, and make the parts of a server.

    Parameters
    ----------
    settings : ServeSettings
    key : bytes, optional
        Secret that seals cookies. Default: the user's own (:func:`pipeline.web.access.own_key`).

    Raises
    ------
    CorpusNotFound, CorpusDamaged, CorpusMismatch
        The corpus cannot be read.
    ConfigError
        The key or the file of tokens cannot be used.
    """
    archive = Archive(settings.corpus, settings.data_roots)
    access = Access(own_key() if key is None else key, os.path.abspath(settings.corpus), owner(), settings.tokens)
    parts = Parts(settings, archive, access, Pool(settings.search_workers, settings.max_queued, settings.deadline_s),
                  port=settings.port)
    watched: dict[str, tuple[str, Callable[[], float]]] = {
        "searches_running": ("Searches that run.", lambda: parts.pool.running),
        "searches_waiting": ("Searches that wait.", lambda: parts.pool.waiting),
        "results_kept": ("Results that are kept.", lambda: len(parts.results)),
        "generation": ("Generation that is shown.", lambda: parts.archive.pinned.generation),
        "generation_newest": ("Newest generation of the corpus.",
                              lambda: parts.archive.newer() or parts.archive.pinned.generation),
    }
    for name, (meaning, value) in watched.items():
        parts.metrics.watch(name, meaning, value)
    return parts


def owner() -> Person:
    """Return who starts the server. This person may write labels."""
    try:
        return Person(getpass.getuser(), "labeller")
    except (OSError, KeyError):  # a container whose user has no name
        return Person("owner", "labeller")


def make_app(parts: Parts) -> FastAPI:
    """Return the app, guarded, with all routes."""

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        yield
        parts.pool.close()

    app = FastAPI(title="Lookalike", version=pipeline.__version__, openapi_url="/api/v1/openapi.json", docs_url=None,
                  redoc_url=None, lifespan=life, responses={
                      code: {"model": ProblemAnswer} for code in (400, 401, 403, 404, 409, 413, 503, 504)})
    add_handlers(app)
    app.include_router(api.router(parts.archive, parts.decoded))
    app.include_router(occupancy.router(parts.archive))
    app.include_router(searching.router(parts.archive, parts.results, parts.pool))
    app.include_router(pages.router(pages.Pages(parts.archive), parts.access, lambda: parts.cookie,
                                    parts.settings.is_encrypted))
    app.mount("/static", pages.static_files())

    @app.get("/healthz", include_in_schema=False)
    def healthz() -> PlainTextResponse:
        return PlainTextResponse("the corpus cannot be read\n", 503) if try_read(parts.archive) else (
            PlainTextResponse("ok\n"))

    @app.get("/metrics", include_in_schema=False)
    def metrics() -> PlainTextResponse:
        return PlainTextResponse(parts.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    app.add_middleware(Guard, access=parts.access, hosts=lambda: parts.settings.allowed_hosts(parts.port),
                       cookie=lambda: parts.cookie, metrics=parts.metrics, is_encrypted=parts.settings.is_encrypted)
    return app
