"""File names fit on one line of a terminal, whatever bytes they contain."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.support.text import shown, size


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


@pytest.mark.parametrize(("count", "expected"), [
    (0, "0 bytes"), (0.4, "0 bytes"), (999, "999 bytes"), (999.6, "1.00 kB"), (294_912, "295 kB"), (999_499, "999 kB"),
    (999_600, "1.00 MB"), (9_994_000, "9.99 MB"), (9_996_000, "10.0 MB"), (99_960_000, "100 MB"), (6e9, "6.00 GB"),
    (4.5e15, "4,500 TB"),
])
def test_a_size_has_three_digits_and_a_unit_that_suits_it(count: float, expected: str) -> None:
    assert size(count) == expected
