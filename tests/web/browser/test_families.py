"""A family on its page: a labeller names it, and takes the name back."""

from __future__ import annotations

import json
from typing import Any

from pipeline.run import find_families
from tests.web.browser.conftest import OpenPage
from tests.web.browser.site import Site


def test_a_family_is_named_and_its_name_is_taken_back(open_page: OpenPage, site: Site) -> None:
    find_families(site.parts.archive.root)
    site.parts.archive.show_families_now()
    page = open_page("/families")
    page.locator(".example a").first.click()
    name = page.get_by_label("Name of this family")
    name.wait_for()
    family = page.locator("h1").text_content()
    name.fill("clock <b>")
    page.keyboard.press("Enter")
    page.get_by_text(f"{family} · clock <b>").wait_for()
    named = site.parts.archive.pinned.corpus.family(family).family
    assert named.name == "clock <b>"
    page.get_by_role("link", name="All families").click()
    page.get_by_role("link", name=f"{family} · clock <b>").wait_for()
    page.go_back()
    name.fill("")
    page.keyboard.press("Enter")
    page.get_by_text(f"{family} has no name now").wait_for()
    page.get_by_role("button", name="Take back").click()
    page.get_by_text(f"{family} · clock <b>").wait_for()
    assert name.input_value() == "clock <b>"

    def as_reader(route: Any) -> None:
        answer = route.fetch()
        said = answer.json()
        said["person"]["role"] = "reader"
        route.fulfill(response=answer, body=json.dumps(said))

    page.route("**/api/v1/status", as_reader)
    page.reload()
    page.locator("h1", has_text="clock").wait_for()
    page.wait_for_selector(".example")
    assert name.count() == 0
    assert page.get_by_role("button", name="Name").count() == 0
