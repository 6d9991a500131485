"""The scripts, styles and templates of the page: small, with nothing fetched from elsewhere, and no code in HTML."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

import pipeline.web

WEB = Path(pipeline.web.__file__).parent
SCRIPTS = sorted((WEB / "static").rglob("*.js"))
TEMPLATES = sorted((WEB / "templates").glob("*.html"))
HTML = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function"
NAMESPACE = "http://www.w3.org/2000/svg"


def test_all_scripts_together_are_small() -> None:
    assert sum(len(gzip.compress(path.read_bytes())) for path in SCRIPTS) <= 150_000


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_a_script_is_short_and_says_what_it_is(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    assert len(lines) <= 320
    assert max(map(len, lines)) <= 120
    assert lines[0].startswith(("/** ", "/**", "// "))


@pytest.mark.parametrize("path", [*SCRIPTS, *TEMPLATES, *(WEB / "static").glob("*.css")], ids=lambda path: path.name)
def test_nothing_is_fetched_from_elsewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8").replace(NAMESPACE, "")
    assert not re.findall(r"(?:https?:)?//[a-z0-9-]+\.[a-z]+", re.sub(r"^\s*//.*$", "", text, flags=re.M))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.name)
def test_no_text_becomes_html(path: Path) -> None:
    assert not re.search(HTML, path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_a_template_holds_no_code(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"<script(?![^>]*\bsrc=)|\sstyle=|\son[a-z]+=|<style", text)


def test_each_script_that_is_asked_for_is_there() -> None:
    asked = [match for path in TEMPLATES for match in re.findall(r'(?:src|href)="{{ static }}/([^"]+)"',
                                                                         path.read_text())]
    assert asked
    assert [name for name in asked if not (WEB / "static" / name).is_file()] == []
    for path in SCRIPTS:
        for name in re.findall(r'from "([^"]+)"', path.read_text()):
            assert (path.parent / name).is_file(), (path.name, name)
