"""The pages for people, and the log-in. All data come from the API; a page holds none but the settings below."""

from __future__ import annotations

from collections.abc import Callable
from importlib import resources
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.staticfiles import StaticFiles

import pipeline
from pipeline.web.access import COOKIE_LIFE_S, Access
from pipeline.web.archive import Archive

PAGES = {
    "/": "archive.html",
    "/waterfall/{source_id}": "waterfall.html",
    "/results/{result_id}": "results.html",
    "/families": "families.html",
    "/families/{family_id}": "family.html",
    "/nights": "nights.html",
    "/nights/{name}": "nights.html",
    "/hit-table": "hit_table.html",
}
"""Address → template. Scripts read the rest of the state from the address."""
_LOGIN_STATUS = 401


def static_files() -> StaticFiles:
    """Return the app that serves scripts, styles and pictures of the package."""
    return StaticFiles(directory=str(resources.files("pipeline.web") / "static"))


class Pages:
    """Makes pages from templates. Every value is escaped."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._templates = Environment(loader=PackageLoader("pipeline.web"), autoescape=True,
                                      undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)

    def page(self, template: str, request: Request, status: int = 200, **values: Any) -> HTMLResponse:
        """Return a page.

        Templates get ``version``, ``corpus`` (name of its folder), ``person`` (or None), and ``state``, the parts of
        the address that are no query.
        """
        text = self._templates.get_template(template).render(
            version=pipeline.__version__, corpus=self._archive.root.name, person=request.state.person,
            state=dict(request.path_params), **values)
        return HTMLResponse(text, status)


def router(pages: Pages, access: Access, cookie: Callable[[], str], is_encrypted: bool) -> APIRouter:
    """Return the routes of the pages and of the log-in."""
    routes = APIRouter(include_in_schema=False)

    def make(template: str) -> Callable[[Request], Response]:
        def page(request: Request) -> Response:
            return pages.page(template, request)

        return page

    for address, template in PAGES.items():
        routes.add_api_route(address, make(template), methods=["GET"], response_class=HTMLResponse)

    @routes.get("/login", response_class=HTMLResponse)
    def login(request: Request, token: str = "") -> Response:
        sealed = access.log_in(token) if token else None
        if sealed is None:
            return pages.page("login.html", request, _LOGIN_STATUS, was_wrong=bool(token))
        answer = RedirectResponse("/", 303)
        answer.set_cookie(cookie(), sealed, max_age=COOKIE_LIFE_S, httponly=True, samesite="strict",
                          secure=is_encrypted, path="/")
        return answer

    @routes.post("/logout")
    def logout() -> Response:
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(cookie(), httponly=True, samesite="strict", secure=is_encrypted, path="/")
        return answer

    return routes
