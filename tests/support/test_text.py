"""File names fit on one line of a terminal, whatever bytes they contain."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.support.text import shown


@pytest.mark.parametrize(("name", "expected"), [
    (b"a b/\xc3\xa9\n\xff.fil", r"a b/é\n\xff.fil"),
    (b"tab\there \x1b[31m\x7f", r"tab\there \x1b[31m\x7f"),
    ("🛰 µHz\u2028".encode(), r"🛰 µHz\u2028"),
    (b"back\\slash", r"back\slash"),
    (b"", ""),
])
def test_names_are_one_printable_line(name: bytes, expected: str) -> None:
    assert shown(os.fsdecode(name)) == expected


def test_paths_and_text_are_shown_alike() -> None:
    assert shown(Path("a\nb")) == shown("a\nb") == r"a\nb"


@given(st.text(st.characters(max_codepoint=sys.maxunicode, exclude_categories=[])))
def test_any_text_can_be_printed_and_is_not_escaped_twice(text: str) -> None:
    line = shown(text)
    assert line.isprintable()
    line.encode("utf-8")
    assert shown(line) == line
