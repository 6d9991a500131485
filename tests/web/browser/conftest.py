"""Fixtures of the browser tests. All tests of a process share the corpus, the server and the browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.web.browser.site import FLAGS, Site, executable, ingested, serving


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    path = executable()
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def site(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    corpus, data = ingested(tmp_path_factory.mktemp("site"))
    with serving(corpus, data) as one:
        yield one


@pytest.fixture(scope="session")
def login_state(browser: Any, site: Site) -> Any:
    """Cookies of a browser that has logged in."""
    context = browser.new_context()
    answer = context.new_page().goto(site.login())
    assert answer.ok, f"the login answers {answer.status}"
    state = context.storage_state()
    context.close()
    return state


OpenPage = Callable[..., Any]


@pytest.fixture
def open_page(browser: Any, site: Site, login_state: Any) -> Iterator[OpenPage]:
    """Open pages of the site. No request may leave it, and no script may fail."""
    contexts, faults = [], []

    def look_at(request: Any) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https", "ws", "wss") and f"{parts.scheme}://{parts.netloc}" != site.address:
            faults.append(f"a request to {request.url}")

    def open_at(path: str, *, wait: str = "load", **options: Any) -> Any:
        context = browser.new_context(**{"storage_state": login_state, "viewport": {"width": 1272, "height": 900},
                                         **options})
        context.set_default_timeout(20_000)
        contexts.append(context)
        context.on("request", look_at)
        page = context.new_page()
        page.on("pageerror", lambda error: faults.append(f"{path}: {error}"))
        page.on("dialog", lambda dialog: faults.append(f"{path}: a dialog says {dialog.message}"))
        page.goto(site.address + path, wait_until=wait)
        return page

    yield open_at
    for context in contexts:
        context.close()
    assert not faults
