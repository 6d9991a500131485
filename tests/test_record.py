"""The benchmarks' comparison with what was recorded before."""

from __future__ import annotations

from pipeline.processor import HELD_DOWN, described
from tests.benchmarks.record import marker_of, moved, section, with_section
from tests.benchmarks.report import machine

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


def test_instruction_sets_stand_apart(monkeypatch):
    for name in HELD_DOWN:
        monkeypatch.delenv(name, raising=False)
    text = ""
    for number, known in enumerate(("AVX2", "AMX")):
        monkeypatch.setattr("tests.benchmarks.record.instruction_set", lambda known=known: known)
        marker = marker_of("index", ["--sizes", "7"])
        assert marker == f"index --sizes 7 on {known}"
        assert section(text, marker) is None
        text = with_section(text, marker, str(number))
    assert section(text, "index --sizes 7 on AVX2") == "0"
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert marker_of("scan", []) == "scan on AMX ONEDNN_MAX_CPU_ISA=AVX2"
    assert described() in machine()


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
