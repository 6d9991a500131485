"""The pages for people, and the log-in. All data come from the API; a page holds none but the settings below."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, cast

from fastapi import APIRouter, Depends, FastAPI, Request, Response
from fastapi.responses import HTMLResponse, PlainTextResponse, RedirectResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.staticfiles import StaticFiles

import pipeline
from pipeline.web.access import COOKIE_LIFE_S
from pipeline.web.archive import Archive, try_read
from pipeline.web.parts import ItsParts, Parts

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


class _Static(StaticFiles):
    """Files, with an answer to how long a browser may keep them."""

    def __init__(self, cache_control: str) -> None:
        super().__init__(directory=str(_static_folder()))
        self._cache_control = cache_control

    def file_response(self, *args: Any, **how: Any) -> Response:
        answer = super().file_response(*args, **how)
        answer.headers["Cache-Control"] = self._cache_control
        return answer


def _static_folder() -> Path:
    return Path(str(resources.files("pipeline.web") / "static"))


@cache
def static_address() -> str:
    """Return the address below which scripts, styles and pictures lie. It has their digest, so it changes with them.

    Modules name each other relative to themselves, so the digest is in the address of each.
    """
    digest = hashlib.sha256()
    for path in sorted(one for one in _static_folder().rglob("*") if one.is_file()):
        digest.update(path.read_bytes())
    return f"/static/{digest.hexdigest()[:16]}"


def add_static(app: FastAPI) -> None:
    """Serve scripts, styles and pictures of the package.

    Browsers keep what has a digest in its address for a year, and never ask for it again. Of the same files below
    ``/static``, they ask each time whether they have changed.
    """
    app.mount(static_address(), _Static("public, max-age=31536000, immutable"))
    app.mount("/static", _Static("no-cache"))


_SCRIPT_OF_TEMPLATE = re.compile(r'<script type="module"[^>]* src="{{ static }}/(js/[\w/]+\.js)"')
_IMPORT = re.compile(r'^(?:import|export)\b[^;]*? from "(\.[\w./]+)";', re.MULTILINE)


@cache
def modules_of(template: str) -> tuple[str, ...]:
    """Return the modules that a page loads, below the address of its static files.

    A browser that is told of all of them at once need not read one to learn of the next.
    """
    folder = _static_folder()
    texts = [(folder.parent / "templates" / name).read_text(encoding="utf-8") for name in ("base.html", template)]
    waiting = [name for text in texts for name in _SCRIPT_OF_TEMPLATE.findall(text)]
    found: dict[str, None] = {}
    while waiting:
        name = waiting.pop(0)
        if name not in found:
            found[name] = None
            path = folder / name
            waiting.extend(os.path.relpath((path.parent / other).resolve(), folder.resolve())
                           for other in _IMPORT.findall(path.read_text(encoding="utf-8")))
    return tuple(found)


class Pages:
    """Makes pages from templates. Every value is escaped."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._templates = Environment(loader=PackageLoader("pipeline.web"), autoescape=True,
                                      undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)

    def page(self, template: str, request: Request, status: int = 200, **values: Any) -> HTMLResponse:
        """Return a page.

        Templates get ``version``, ``corpus`` (name of its folder), ``person`` (or None), and ``state``, the parts of
        the address that are no query; ``static``, below which scripts and styles lie; and ``modules``, the addresses
        of the page's.
        """
        text = self._templates.get_template(template).render(
            version=pipeline.__version__, corpus=self._archive.root.name, person=request.state.person,
            state=dict(request.path_params), static=static_address(), modules=[
                f"{static_address()}/{name}" for name in modules_of(template)], **values)
        return HTMLResponse(text, status)


routes = APIRouter(include_in_schema=False)


def _of_request(request: Request) -> Pages:
    return cast(Pages, request.app.state.pages)


ItsPages = Annotated[Pages, Depends(_of_request)]


def _route_of(template: str) -> Callable[..., Response]:
    def page(request: Request, pages: ItsPages) -> Response:
        return pages.page(template, request)

    return page


for _address, _template in PAGES.items():
    routes.add_api_route(_address, _route_of(_template), methods=["GET"], response_class=HTMLResponse)


@routes.get("/login", response_class=HTMLResponse)
def login(request: Request, pages: ItsPages, parts: ItsParts, token: str = "") -> Response:
    """Turn a token into a cookie, or say how to log in."""
    sealed = parts.access.log_in(token) if token else None
    if sealed is None:
        return pages.page("login.html", request, _LOGIN_STATUS, was_wrong=bool(token))
    answer = RedirectResponse("/", 303)
    answer.set_cookie(parts.cookie, sealed, max_age=COOKIE_LIFE_S, path="/", httponly=True, samesite="strict",
                      secure=_is_secure(request, parts))
    return answer


@routes.post("/logout")
def logout(request: Request, parts: ItsParts) -> Response:
    """Take the cookie back."""
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(parts.cookie, path="/", httponly=True, samesite="strict", secure=_is_secure(request, parts))
    return answer


def _is_secure(request: Request, parts: Parts) -> bool:
    return parts.settings.scheme_of(request.headers["host"].lower()) == "https"


@routes.get("/healthz")
def healthz(parts: ItsParts) -> PlainTextResponse:
    """Say whether the corpus can be read."""
    if try_read(parts.archive):
        return PlainTextResponse("the corpus cannot be read\n", 503)
    return PlainTextResponse("ok\n")


@routes.get("/metrics")
def metrics(parts: ItsParts) -> PlainTextResponse:
    """Give the figures of the server to Prometheus."""
    return PlainTextResponse(parts.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")
