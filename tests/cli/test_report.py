"""What ``ingest`` and ``embed`` print of a run's report."""

from __future__ import annotations

from pipeline.cli.report import file_lines
from pipeline.model import SourceReport
from pipeline.run import RunReport


def test_a_line_names_what_a_longer_source_replaces() -> None:
    grown = SourceReport("/data/a.fil", "done", "LONG", replaces=("SHORT", "SHORTER"))
    plain = SourceReport("/data/b.fil", "done", "PLAIN")
    lines = file_lines(RunReport((grown, plain), 1.0, 1))
    assert lines == [f"{'':<28} /data/a.fil: replaces SHORT, SHORTER, the beginning of this scan"]
