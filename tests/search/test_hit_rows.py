"""Tables that turboSETI wrote from simulated files, and tables in other formats, end to end."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.config import Config, ScanConfig
from pipeline.filterbank import open_filterbank
from pipeline.hit_tables import HitTable, parse_hit_table, read_hit_table
from pipeline.run import ingest
from pipeline.search import (
    ROW_COLUMNS,
    Corpus,
    Filters,
    RowAnswer,
    ScanFinder,
    open_corpus,
    page_of_rows,
    words_of_rows,
)
from pipeline.views import is_plain
from tests.filterbank.files import real_file
from tests.hit_tables.cadence import DRIFTS_HZ_PER_S, TABLES, WIDTH, f_at, simulate_scan, write_hits


@dataclass
class Cadence:
    data: Path
    corpus: Corpus

    def rows(self, table: HitTable, **how: object) -> list[RowAnswer]:
        return list(self.corpus.search_rows(table, **how))

    def name_of(self, source_id: str) -> str:
        return Path(self.corpus._corpus.manifest.sources[source_id].path).name

    def count_kept(self, name: str, low_mhz: float, high_mhz: float) -> int:
        """Count the kept windows of a file that touch a range of frequency, one by one."""
        opened = self.corpus._corpus
        (source_id,) = (one for one in opened.manifest.sources if self.name_of(one) == name)
        windows = [opened.window(source_id, int(number)) for number in opened.numbers(source_id)]
        return sum(one.f_start_mhz < high_mhz + 3e-6 and one.f_stop_mhz > low_mhz - 3e-6 for one in windows)


@pytest.fixture(scope="module")
def cadence(tmp_path_factory: pytest.TempPathFactory) -> Cadence:
    """Four of the scans in a corpus: on0, off0, on1, off1."""
    root = tmp_path_factory.mktemp("cadence")
    (root / "data").mkdir()
    for number in range(4):
        simulate_scan(root / "data", number)
    ingest([root / "data"], root / "corpus", config=Config(ScanConfig(coarse_width=WIDTH, views=())), serial=True)
    return Cadence(root / "data", open_corpus(root / "corpus"))


def line_of(row: RowAnswer) -> int:
    """Return which line of the simulation a row is."""
    assert row.row is not None
    return round((row.row.f_mhz - 1530.02) / 0.02)


def test_each_row_of_turboseti_finds_the_same_line_in_the_other_scan(cadence: Cadence) -> None:
    table = read_hit_table(TABLES / "on0.dat")

    answers = cadence.rows(table)

    assert [one.number for one in answers] == [1, 2, 3, 4, 5, 6]
    for one in answers:
        assert (one.reason, one.result is not None) == ("", True)
        assert one.result is not None
        assert one.scan is not None
        assert "_TARGET_" in one.scan.file
        assert set(json.loads(json.dumps(one.result.request.to_json()))) == {"file", "f_start_mhz", "f_stop_mhz"}
        kin = [hit for hit in one.result if Path(hit.file).name == "on1.h5" and abs(
            hit.window.f_start_mhz - f_at(line_of(one), 2)) < 1.5e-3]
        assert kin, f"row {one.number}"
        assert max(hit.score for hit in kin) > 0.8


def test_on_off_judges_the_signal_of_each_row(cadence: Cadence) -> None:
    answers = cadence.rows(read_hit_table(TABLES / "on0.dat"), on_off=True)

    states = {line_of(one): one.on_off.state for one in answers if one.on_off}
    assert states == {0: "ON only", 1: "ON only", 2: "ON only", 3: "ON only", 4: "in OFF", 5: "in OFF"}
    assert all(hit.on_off is not None for one in answers for hit in one.result or ())


def test_events_are_searched_for_in_their_own_scans(cadence: Cadence) -> None:
    answers = cadence.rows(read_hit_table(TABLES / "events1.csv"), k=2)

    files = {Path(cadence.corpus._corpus.manifest.sources[one.scan.file].path).name for one in answers if one.scan}
    assert files == {"on0.h5", "on1.h5"}
    lost = [one for one in answers if one.result is None]
    assert {one.row.scan.file_name for one in lost if one.row} == {"on2.h5"}
    assert all("is its scan (on2.h5, TARGET, MJD 59000.1" in one.reason for one in lost)
    assert len(answers) == 18


def test_a_scan_is_found_by_its_start_where_its_file_has_another_name(cadence: Cadence) -> None:
    text = (TABLES / "on0.dat").read_text().replace("on0.h5", "blc00_guppi_59000_10000.dat")

    answers = cadence.rows(parse_hit_table(text.encode(), "table"), k=1)

    assert all(one.result is not None for one in answers)
    later = text.replace("59000.115740740737", "59000.125740740737")
    assert {one.reason for one in cadence.rows(parse_hit_table(later.encode(), "table"))} == {
        f"no file beside the table and no source of {cadence.corpus.root} is its scan (blc00_guppi_59000_10000.dat, "
        "TARGET, MJD 59000.125741): name the file"}


def test_filters_decide_between_scans_that_may_be_meant(cadence: Cadence, monkeypatch: pytest.MonkeyPatch) -> None:
    table, sources = read_hit_table(TABLES / "on0.dat"), cadence.corpus._corpus.manifest.sources
    both = [one for one in sources if cadence.name_of(one) in ("on0.h5", "on1.h5") and is_plain(one)]
    monkeypatch.setattr(ScanFinder, "_named", lambda self, scan: both)

    assert all(one.reason.startswith("several scans may be meant, ") for one in cadence.rows(table))
    for filters, reason in ((Filters(only_file=(both[1],)), ""), (Filters(only_target=("OFF*",)), "several scans")):
        for one in cadence.rows(table, filters=filters, k=1):
            assert one.reason.startswith(reason)
            assert reason or (one.scan is not None and one.scan.file == both[1])


def test_a_row_whose_only_hits_are_its_own_says_how_many(cadence: Cadence) -> None:
    table = read_hit_table(TABLES / "on0.dat")
    only = Filters(only_file=("on0.h5",), only_mhz=((1530.0199, 1530.0202),))

    (one, *_) = [one for one in cadence.rows(table, filters=only) if one.row and one.row.f_mhz < 1530.03]

    assert one.result is not None
    assert (len(one.result), one.words) == (0, "no hits")
    assert one.result.own_windows > 0
    assert f"{one.result.own_windows} window" in words_of_rows(table, [one])[2]


def test_a_file_beside_the_table_is_read(cadence: Cadence, tmp_path: Path) -> None:
    simulate_scan(tmp_path, 4)
    table = read_hit_table(TABLES / "on2.dat")

    beside = cadence.rows(table, folder=tmp_path, k=3)
    named = cadence.rows(table, file=tmp_path / "on2.h5", k=3)

    assert [one.scan.file for one in beside if one.scan] == [str(tmp_path / "on2.h5")] * 6
    assert [one.words_of_best for one in beside] == [one.words_of_best for one in named]
    assert all(one.result is None for one in cadence.rows(table))


def test_hyperseti_needs_the_file(cadence: Cadence) -> None:
    table = parse_hit_table(b"drift_rate,f_start,snr\n0.4,1530.020003,100\n0.4,1200.0,90\n", "table")

    assert [one.reason for one in cadence.rows(table)] == ["the table names no scan: name the file"] * 2
    answers = cadence.rows(table, file=cadence.data / "on0.h5")
    assert answers[0].result is not None
    assert "1200.000000 MHz is not within the band of its scan" in answers[1].reason


def pixels_of(cadence: Cadence, line: int) -> tuple[float, float, np.ndarray, float]:
    """Return a row of a .hits file: pixels of on0.h5 around a line, in the order of the file, descending."""
    with open_filterbank(cadence.data / "on0.h5") as file:
        first = round(file.header.channel_at(f_at(line, 0))) - 60
        power = file.read(0, 16, first, first + 120)
        return f_at(line, 0), 0.4, power[:, ::-1], file.header.channel_edge_mhz(first + 119.5)


def test_pixels_of_seticore_are_searched_for_where_the_scan_is_gone(
    cadence: Cadence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_hits(tmp_path / "some.hits", [pixels_of(cadence, line) for line in (0, 1)], foff_mhz=-187.5 / 2**26)
    table = read_hit_table(path)

    by_file = cadence.rows(table)
    monkeypatch.setattr(ScanFinder, "_named", lambda self, scan: [])  # no file can be read, and no source named
    by_pixels = cadence.rows(table)

    assert [one.to_json()["by"] for one in by_file] == ["file", "file"]
    assert [one.to_json()["by"] for one in by_pixels] == ["pixels of the table"] * 2
    assert not any("by the pixels" in line for line in words_of_rows(table, by_file))
    assert words_of_rows(table, by_pixels)[-1].startswith("2 rows searched for by the pixels of the table")
    for line, *both in zip((0, 1), by_file, by_pixels, strict=True):
        for one in both:
            assert one.result is not None
            low, high = sorted((f_at(line, 0), f_at(line, 0) + DRIFTS_HZ_PER_S[line] * 292 / 1e6))
            touching = [hit for hit in one.result
                        if hit.window.f_start_mhz < high + 3e-6 and hit.window.f_stop_mhz > low - 3e-6]
            names = [cadence.name_of(hit.source_id) for hit in touching]
            assert "on0.h5" not in names, "the signal of the row itself"
            kin = [hit for hit in one.result if cadence.name_of(hit.source_id) == "on1.h5"
                   and abs(hit.window.f_start_mhz - f_at(line, 2)) < 1.5e-3]
            assert kin, f"line {line} in the next scan"
            assert one.result.own_windows == cadence.count_kept("on0.h5", low, high)
            assert f"{one.result.own_windows} window" in one.result.description.note
            assert one.to_json()["own_windows"] == one.result.own_windows


def test_pixels_of_another_scan_find_the_signal(
    cadence: Cadence, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [pixels_of(cadence, line) for line in (0, 1)]
    path = write_hits(tmp_path / "some.hits", rows, foff_mhz=-187.5 / 2**26)
    monkeypatch.setattr("pipeline.search.row_scans.MAX_START_DIFFERENCE_S", -1.0)  # so no source is the scan

    for line, one in zip((0, 1), cadence.rows(read_hit_table(path)), strict=True):
        near = [hit for hit in one.result or () if abs(hit.window.f_start_mhz - f_at(line, 0)) < 2e-3]
        assert near, f"the pixels of line {line} do not find it"
        assert one.result is not None
        assert one.result.own_windows == 0


def test_a_row_names_the_family_of_its_best_convincing_look_alike(cadence: Cadence) -> None:
    first = cadence.rows(read_hit_table(TABLES / "on0.dat"), k=3)[0]
    assert first.result is not None
    assert first.family == ("", "")
    expected = (1e-6, 2e-6, 30.0)  # the last one is as good as chance
    for families, found in [((("", ""), ("F2", ""), ("F3", "carrier")), ("F2", "")),
                            ((("F3", "carrier"), ("F2", ""), ("", "")), ("F3", "carrier")),
                            ((("", ""), ("", ""), ("F3", "carrier")), ("", ""))]:
        hits = tuple(replace(first.result[0], rank=i + 1, expected=number, family=family, family_name=name)
                     for i, (number, (family, name)) in enumerate(zip(expected, families, strict=True)))
        one = replace(first, result=replace(first.result, hits=hits))
        assert one.family == found
        record = one.to_json()
        assert (record["family"], record["family_name"]) == found
        assert one.words_of_family == ", ".join(filter(None, found))
        page = page_of_rows(read_hit_table(TABLES / "on0.dat"), [one])
        assert f"<td>{one.words}</td><td>{one.words_of_family}</td>" in page


def test_rows_that_cannot_be_read_keep_their_place(cadence: Cadence) -> None:
    text = (TABLES / "on0.dat").read_text().replace("-2.010238", "fast")

    answers = cadence.rows(parse_hit_table(text.encode(), "table"), k=1)

    assert [one.number for one in answers if one.result is None] == [3]
    assert answers[2].reason == "Drift_Rate is 'fast', which is no number"
    assert answers[2].words == "not searched for: Drift_Rate is 'fast', which is no number"


def test_answers_go_to_json_and_to_a_page(cadence: Cadence) -> None:
    table = parse_hit_table((TABLES / "on0.dat").read_bytes(), "<script>.dat")
    answers = cadence.rows(table, k=2)

    records = [one.to_json() for one in answers]
    assert [set(one) for one in records] == [{*ROW_COLUMNS, "hits"}] * 6
    assert json.loads(json.dumps(records, allow_nan=False)) == records
    page = page_of_rows(table, answers)
    assert "<script>" not in page
    assert page.count("<tr>") == 7
    assert f"{answers[0].result[0].source_id}/{answers[0].result[0].window.number}" in page  # type: ignore[index]


def test_a_parameter_that_cannot_be_used_is_no_fault_of_the_rows(cadence: Cadence) -> None:
    with pytest.raises(Exception, match="k must be at least 1"):
        cadence.rows(read_hit_table(TABLES / "on0.dat"), k=0)


def test_a_real_table_of_voyager_finds_its_file(cadence: Cadence) -> None:
    crop = real_file("voyager1_2020_crop.h5")
    for name in ("turboseti_voyager_2020.dat", "seticore_voyager_2020.dat"):
        answers = cadence.rows(read_hit_table(real_file(f"hit_tables/{name}")), file=crop)
        assert len(answers) == 1
        assert answers[0].result is not None, answers[0].reason
        assert answers[0].result.description.note == ""  # the gate sees the carrier


def test_real_pixels_of_voyager_are_a_query(cadence: Cadence) -> None:
    answers = cadence.rows(read_hit_table(real_file("hit_tables/seticore_voyager.hits")))

    assert [one.to_json()["by"] for one in answers] == ["pixels of the table"] * 5
    assert all(one.result for one in answers)
