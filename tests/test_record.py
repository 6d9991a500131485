"""Recording of benchmarks: the comparison with earlier numbers, and the pages that hold the tables."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benchmarks import record
from benchmarks.record import FOLDER, PAGES, moved, section, with_section

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


def test_every_program_has_a_page_and_every_table_is_in_that_of_its_program():
    programs = {path.stem.removeprefix("bench_") for path in FOLDER.glob("bench_*.py")}
    assert set(PAGES) == programs
    recorded = [(page.name, marker) for page in FOLDER.glob("*.md")
                for marker in re.findall(r"^<!-- ([a-z].*) -->$", page.read_text(), re.MULTILINE)]
    assert {marker.split()[0] for _, marker in recorded} >= {"scan", "gate", "index", "search", "driver"}
    for page, marker in recorded:
        assert page == PAGES[marker.split()[0]]
        assert section((FOLDER / page).read_text(), marker)


def test_programs_and_pages_that_the_pages_name_are_there():
    for page in FOLDER.glob("*.md"):
        text = page.read_text()
        for name in re.findall(r"-m benchmarks\.(\w+)", text):
            assert (FOLDER / f"{name}.py").is_file(), (page, name)
        for link in re.findall(r"\]\(([^)#:]+)\)", text):
            assert (FOLDER / link).is_file(), (page, link)


def test_a_job_is_recorded_on_the_page_of_its_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "scan.md").write_text(f"# Scan\n\n<!-- scan -->\n{BEFORE}\n<!-- /scan -->\n\nwords\n")
    monkeypatch.setattr(record, "FOLDER", tmp_path)
    monkeypatch.setattr(record, "run", lambda name, arguments: NOW.strip())
    monkeypatch.setattr("sys.argv", ["record", "scan"])
    record.main()
    text = (tmp_path / "scan.md").read_text()
    assert section(text, "scan") == NOW.strip()
    assert text.startswith("# Scan\n")
    assert text.endswith("\nwords\n")
