"""The benchmarks' comparison with what was recorded before."""

from __future__ import annotations

from tests.benchmarks.record import moved, section, with_section

BEFORE = """
| what | seconds | windows/s |
|---|---:|---:|
| bare read | 2.0 | 1,000 |
| scan of 16 × 256 | 4.0 | 5,548, 3,650 |
"""
NOW = """
### Scan

| what | seconds | windows/s |
|---|---:|---:|
| bare read | 2.1 | 1,050 |
| scan of 16 × 256 | 4.0 | 5,550, 7,300 |
| ingest | 9 | 3 |
"""


def test_what_moved_by_more_than_a_tenth_is_told_and_what_is_new():
    assert list(moved(BEFORE, NOW)) == [
        ("scan of 16 × 256", "windows/s", "3,650", "7,300", "2.00"),
        ("ingest", "", "not there", "new", "–"),
    ]
    assert list(moved(BEFORE, BEFORE)) == []


def test_a_section_is_replaced_and_nothing_else():
    text = "# Title\n\nwords\n"
    assert section(text, "scan") is None
    text = with_section(text, "scan", BEFORE)
    text = with_section(text, "index --sizes 7", "other")
    assert section(text, "scan") == BEFORE.strip()
    text = with_section(text, "scan", NOW)
    assert section(text, "scan") == NOW.strip()
    assert section(text, "index --sizes 7") == "other"
    assert text.startswith("# Title\n\nwords\n")
