"""Families in the report of a night."""

from __future__ import annotations

from pathlib import Path

from pipeline.nightly import nightly
from pipeline.run import find_families
from tests.nightly.sky import CONFIG, write_scan


def test_a_night_tells_which_families_are_new_and_which_have_grown(tmp_path: Path) -> None:
    archive, corpus = tmp_path / "archive", tmp_path / "corpus"

    def night(number: int):  # type: ignore[no-untyped-def]
        write_scan(archive, number, 0)
        return nightly([archive], corpus, min_age_s=0, config=CONFIG, serial=True)

    assert night(0).families is None  # the user has not asked for families
    first = find_families(corpus)
    assert first.new
    report = night(1)
    assert [step.name for step in report.steps if step.status == "failed"] == []
    news = report.families
    assert news is not None
    assert {one.family.id for one in news.grown} == set(first.new)
    assert news.judged == sum(one.added for one in news.grown) + sum(one.family.windows for one in news.new) + (
        news.without - int((first.table.sources[next(iter(first.table.sources))][1] == 0).sum()))
    page, record = report.files["html"].read_text(), report.to_json()
    assert "Grown tonight" in page
    assert {one["id"] for one in record["families"]["grown"]} == set(first.new)
    assert nightly([archive], corpus, min_age_s=0, config=CONFIG, serial=True).families is None  # nothing new
