"""Puts the parts of the server together."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

import pipeline
from pipeline.support.one_core import blas_on_cores
from pipeline.web import (
    counting,
    families,
    labelling,
    looking,
    nights,
    occupancy,
    pages,
    pictures,
    query_rows,
    searching,
    tables,
    windows,
)
from pipeline.web.guard import Guard
from pipeline.web.json_answer import JsonAnswer
from pipeline.web.parts import Parts
from pipeline.web.problems import ProblemAnswer, add_handlers
from pipeline.web.warm import warm_up

FORGETS_EVERY_S = 60.0
"""Time between two looks at what people sent, in seconds."""


async def _forget_old(parts: Parts) -> None:
    while True:
        await asyncio.sleep(FORGETS_EVERY_S)
        parts.forget_old()


def make_app(parts: Parts) -> FastAPI:
    """Return the app, guarded, with all routes."""

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        app.openapi()  # builds the routes, in half a second: else the first request would
        warm_up(parts.archive.pinned, parts.decoded)
        # threads of linear algebra wait for each other while searches in other threads hold the cores
        with blas_on_cores(max(1, (os.cpu_count() or 1) // parts.settings.search_workers)):
            forgetting = asyncio.create_task(_forget_old(parts))
            yield
            forgetting.cancel()
        parts.close()

    app = FastAPI(title="Lookalike", version=pipeline.__version__, openapi_url="/api/v1/openapi.json", docs_url=None,
                  redoc_url=None, lifespan=life, default_response_class=JsonAnswer,
                  responses={kind: {"model": ProblemAnswer} for kind in ("4XX", "5XX")})
    app.state.parts = parts
    app.state.pages = pages.Pages(parts.archive)
    add_handlers(app)
    for one in (looking, occupancy, windows, searching, query_rows, pictures, counting, families, labelling, nights,
                tables, pages):
        app.include_router(one.routes)
    pages.add_static(app)
    app.add_middleware(Guard, access=parts.access, hosts=lambda: parts.settings.allowed_hosts(parts.port),
                       cookie=lambda: parts.cookie, metrics=parts.metrics, scheme_of=parts.settings.scheme_of)
    return app
