"""The server is stopped and started again while somebody works."""

from __future__ import annotations

import json
from typing import Any

from tests.web.browser.site import Site, serving, until
from tests.web.browser.test_flow import results


def test_work_goes_on_when_the_server_is_back(browser: Any, site: Site) -> None:
    root, source = site.parts.archive.root, site.source("on1")
    number = int(site.parts.archive.pinned.opened.numbers(source)[0])
    context = browser.new_context()
    context.set_default_timeout(20_000)
    page = context.new_page()
    with serving(root, site.data) as first:
        page.goto(first.login())
        page.goto(first.address + results(site, number))
        page.wait_for_selector(".hit .on-off:not(.asked)")  # the address is that of the result with ON and OFF
        page.keyboard.press("j")
        page.keyboard.press("y")
        marked = page.locator(".hit").first.get_attribute("data-window")
        address, port = page.url, first.parts.port
    page.keyboard.press("r")
    page.locator(".toast.error", has_text="The server does not answer").wait_for()
    page.locator("#generation", has_text="The server does not answer").wait_for()
    with serving(root, site.data, port, key=b"n" * 32) as second:
        page.locator("#generation", has_text="Sign in again").wait_for()
        context.new_page().goto(second.login())  # as the address that the new server prints says
        page.locator(".toast", has_text="The server is back").wait_for()
        until(page, "document.querySelector('#generation').textContent.startsWith('Generation')")
        until(page, "document.querySelector('#busy').textContent === ''")
        page.wait_for_selector(".hit .on-off:not(.asked, .unknown)")
        assert page.url == address
        assert page.locator(f'.hit[data-mark="yes"][data-window="{marked}"]').count() == 1
        with page.expect_request("**/feedback") as sent:
            page.keyboard.press("r")
        assert json.loads(sent.value.post_data) == {"like": [marked], "unlike": [], "on_off": False}
        page.get_by_text("refined with 1 yes and 0 no").wait_for()
    context.close()
