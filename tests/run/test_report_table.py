"""Reports survive the way into a table and back."""

from __future__ import annotations

from pipeline.errors import Reason
from pipeline.model import SourceReport, Timing
from pipeline.run.report_table import Reports


def test_what_comes_out_is_what_went_in_in_its_order() -> None:
    given = [
        SourceReport("/a.h5", "done", "A", windows_seen=4096, windows_kept=80, windows_masked=3, windows_embedded=80,
                     bytes_decoded=2**40, timing=Timing(0.1, 1 / 3, 2.0, 1e-9),
                     also_at=("/b.fil", "/c.h5")),
        SourceReport("/torn\udcff.h5", "failed", reason=Reason.TRUNCATED, message="/torn: ends early"),
        SourceReport("/d.h5", "busy", "D", Reason.BUSY, "changed"),
    ]
    reports = Reports(4)
    for report in given:
        reports.append(report)
    assert len(reports) == 3
    assert list(reports) == list(reports) == given
    assert given[1] in reports
    assert SourceReport("/a.h5", "done") not in reports
    assert type(next(iter(reports)).windows_seen) is int  # as JSON wants it
