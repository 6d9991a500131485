"""The coverage of intervals that an evaluation reports."""

from __future__ import annotations

from pipeline.evaluate import Report, format_report
from pipeline.evaluate.coverage import MEANS, measure_coverage


def test_intervals_of_rates_cover_as_often_as_they_say() -> None:
    found = measure_coverage(1500)
    assert [one.mean for one in found] == list(MEANS)
    for one in found:
        assert one.rate >= 0.95 - 3 * 0.0056, one  # the spread of a share of 1,500
        if one.mean >= 10:
            assert one.rate <= 0.98 + 2 * 0.0036, one
    assert 0.9 < sum(one.share for one in found) / len(found) < 1


def test_the_table_has_a_row_for_each_mean() -> None:
    lines = format_report(Report(0, False, coverage=measure_coverage(50)))
    assert lines[0].startswith("Occurrence: share of simulated archives")
    assert len(lines) == 2 + len(MEANS)
