"""Lists of the page as files: they hold what the JSON of the page, the command line and the package give."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest
from astropy.io.votable import parse_single_table
from click.testing import CliRunner
from pyarrow import parquet

from pipeline.cli import lookalike
from pipeline.export import TABLE_FORMATS, Table
from pipeline.nightly import nightly
from pipeline.run import find_families, name_family
from pipeline.search import open_corpus
from pipeline.web import ServeSettings
from pipeline.web.access import add_person
from tests.web.conftest import FILES, LINES, SCRIPT, Served, dat, serving


def rows_of(answer: httpx.Response, form: str) -> list[dict[str, str]]:
    """Return the rows of a file, whose cells are texts."""
    assert answer.status_code == 200, answer.text
    if form == "csv":
        return list(csv.DictReader(io.StringIO(answer.text, newline="")))
    if form == "json":
        found = answer.json()["rows"]
    elif form == "vot":
        table = parse_single_table(io.BytesIO(answer.content)).to_table()
        found = [dict(zip(table.colnames, row, strict=True)) for row in table]
    else:
        found = parquet.read_table(io.BytesIO(answer.content)).to_pylist()
    return [{name: "" if value is None or str(value) in ("--", "None") else str(value) for name, value in row.items()}
            for row in found]


def alike(one: dict[str, str], other: dict[str, str]) -> bool:
    def cell(text: str) -> Any:
        try:
            return float(text)
        except ValueError:
            return text.replace("\\udcff", "\udcff").replace("\\xff", "\udcff")
    return {name: cell(value) for name, value in one.items()} == {name: cell(value) for name, value in other.items()}


@pytest.fixture(scope="module")
def own(corpus: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A server of a corpus with families and a night."""
    root = tmp_path_factory.mktemp("tables") / "corpus"
    shutil.copytree(corpus, root)
    nightly([data], root, min_age_s=0, serial=True)
    find_families(root)
    with serving(ServeSettings(corpus=root, port=0, data_roots=(data,))) as served:
        yield served


@pytest.mark.parametrize("path", ["sources", "sources/{scan}/windows", "families", "families/F1", "nights"])
def test_all_forms_hold_the_same(own: Served, path: str) -> None:
    address = f"/api/v1/{path.format(scan=own.scans[1])}"
    every = {form: rows_of(own.get(f"{address}.{form}"), form) for form in ("csv", "json", "vot", "parquet")}
    assert every["csv"]
    for form, rows in every.items():
        assert len(rows) == len(every["csv"])
        assert all(map(alike, rows, every["csv"])), (form, rows[0], every["csv"][0])
    page = own.get(f"{address}.html")
    assert page.text.count("<tr>") == 1 + len(every["csv"])
    assert SCRIPT not in page.text
    assert own.get(f"{address}.exe").json()["error"]["code"] in ("no_such_format", "not_found")
    assert "attachment" in page.headers["Content-Disposition"]


def test_a_list_of_scans_is_that_of_the_command_line(own: Served) -> None:
    rows = rows_of(own.get("/api/v1/sources.csv"), "csv")
    printed = CliRunner().invoke(lookalike, ["scans", "--corpus", str(own.parts.archive.root), "--json"])
    assert printed.exit_code == 0, printed.output
    theirs = json.loads(printed.stdout)["scans"]
    assert [Path(one["file"]).name for one in theirs] == [one["file"] for one in
                                                          own.get("/api/v1/sources.json").json()["rows"]]
    assert all(alike(mine, {**{name: str(value) for name, value in one.items()}, "file": mine["file"],
                            "views": " ".join(one["views"])}) for mine, one in zip(rows, theirs, strict=True))
    assert [one.to_json()["id"] for one in open_corpus(own.parts.archive.root).scans()] == [row["id"] for row in rows]
    assert len(rows_of(own.get("/api/v1/sources.csv", params={"q": "DOWN"}), "csv")) == 1


def test_windows_of_a_range_are_those_of_the_page_and_of_the_package(own: Served) -> None:
    header = own.parts.archive.pinned.opened.manifest.sources[own.scans[1]].header
    low, high = (header.channel_edge_mhz(LINES[3] + offset) for offset in (-100, 90))
    asked = {"f_start_mhz": low, "f_stop_mhz": high}
    address = f"/api/v1/sources/{own.scans[1]}/windows"
    page = own.get(address, params=asked).json()["windows"]
    rows = own.get(f"{address}.json", params=asked).json()["rows"]
    assert 0 < len(rows) < len(own.get(f"{address}.json").json()["rows"])
    assert rows == [{name: one[name] for name in rows[0]} for one in page]
    direct = open_corpus(own.parts.archive.root).kept_windows(FILES[1], low, high)
    assert rows == [{name: one.to_json()[name] for name in rows[0]} for one in direct]
    printed = CliRunner().invoke(lookalike, ["scans", own.scans[1], "--corpus", str(own.parts.archive.root), "--json",
                                             "--f-start", repr(low), "--f-stop", repr(high)])
    assert [{name: one[name] for name in rows[0]} for one in json.loads(printed.stdout)["windows"]] == rows


def test_families_are_those_of_the_command_line(own: Served) -> None:
    root = str(own.parts.archive.root)
    printed = CliRunner().invoke(lookalike, ["families", "--no-update", "--corpus", root, "--csv"])
    theirs = list(csv.DictReader(io.StringIO(printed.stdout, newline="")))
    mine = rows_of(own.get("/api/v1/families.csv"), "csv")
    assert len(mine) == len(theirs) > 0
    assert all(map(alike, mine, theirs))
    one = open_corpus(root).family("F1", None)
    members = own.get("/api/v1/families/F1.json").json()["rows"]
    assert members == [{**row, "file": Path(row["file"]).name} for row in one.table().rows]
    name_family(own.parts.archive.root, "F1", name="L1.5")
    own.parts.archive.show_families_now()
    assert own.get("/api/v1/families/L1.5").json()["id"] == "F1"  # a name with a dot is no format
    name_family(own.parts.archive.root, "F1", name="")


def test_rows_of_a_hit_table_with_their_verdicts(own: Served) -> None:
    header = own.parts.archive.pinned.opened.manifest.sources[own.scans[1]].header
    f_mhz = header.channel_edge_mhz(LINES[3] + 0.5)
    table = dat(header.tstart_mjd, f_mhz, 1.0)
    sent = own.post("/api/v1/query-rows", params={"name": "down.dat"}, content=table.encode()).json()
    address = f"/api/v1/query-rows/{sent['table']}"
    assert rows_of(own.get(f"{address}.csv"), "csv") == []
    own.post(f"{address}/answers", json={"rows": [1, 2], "k": 5})
    rows = own.get(f"{address}.json").json()["rows"]
    assert [one["row"] for one in rows] == [1, 2]
    assert rows[0]["of_hits"] > 0
    assert "not within the band" in rows[1]["reason"]
    assert own.get("/api/v1/query-rows/none.csv").status_code == 404


def test_somebody_who_sends_the_same_hit_table_takes_no_verdicts_away(own: Served) -> None:
    header = own.parts.archive.pinned.opened.manifest.sources[own.scans[1]].header
    table = dat(header.tstart_mjd, header.channel_edge_mhz(LINES[2] + 0.5)).encode()
    mine, again, other = (own.post("/api/v1/query-rows", params={"name": name}, content=table).json()["table"]
                          for name in ("mine.dat", "mine.dat", "other.dat"))
    assert mine == again != other
    own.post(f"/api/v1/query-rows/{mine}/answers", json={"rows": [1], "k": 5})
    for name in ("mine.dat", "other.dat"):
        own.post("/api/v1/query-rows", params={"name": name}, content=table)
    found = own.get(f"/api/v1/query-rows/{mine}.json").json()
    assert (found["description"], len(found["rows"])) == ("What resembles the rows of mine.dat", 1)
    assert own.get(f"/api/v1/query-rows/{other}.json").json()["rows"] == []


@pytest.mark.parametrize("form", TABLE_FORMATS)
def test_a_damaged_report_does_not_keep_the_list_of_nights_back(corpus: Path, tmp_path: Path, form: str) -> None:
    odd = {"headline": "=1+1 \ud800 <b>\0", "began": "\udcff", "exit_code": 10**30}
    (tmp_path / "2026-01-01.json").write_text(json.dumps(odd))
    (tmp_path / "2026-01-02.json").write_text(json.dumps({"headline": "y", "exit_code": True}))
    with serving(ServeSettings(corpus=corpus, port=0, report_dir=tmp_path)) as served:
        answer = served.get(f"/api/v1/nights.{form}")
        if form != "html":
            assert [one["name"] for one in rows_of(answer, form)] == ["2026-01-02", "2026-01-01"]
        assert answer.status_code == 200


def test_a_table_is_saved_in_the_format_of_its_suffix(own: Served, tmp_path: Path) -> None:
    table = open_corpus(own.parts.archive.root).families().table()
    assert isinstance(table, Table)
    for form in TABLE_FORMATS:
        assert table.save(tmp_path / f"families.{form}").read_bytes()
    out = tmp_path / "scans.vot"
    written = CliRunner().invoke(lookalike, ["scans", "--corpus", str(own.parts.archive.root), "--out", str(out)])
    assert (written.exit_code, written.stdout) == (0, "")
    assert len(parse_single_table(out).array) == 2
    wrong = CliRunner().invoke(lookalike, ["scans", "--corpus", str(own.parts.archive.root), "--out", "x.doc"])
    assert wrong.exit_code != 0


def test_a_file_that_does_not_hold_all_windows_says_so(own: Served) -> None:
    address = f"/api/v1/sources/{own.scans[1]}/windows"
    every = own.get(f"{address}.json").json()
    assert "truncated" not in every
    words = "only the 2 windows with the highest SNR; there are more in this range"
    for form in TABLE_FORMATS:
        assert "X-Truncated" not in own.get(f"{address}.{form}").headers
        cut = own.get(f"{address}.{form}", params={"limit": 2})
        assert cut.headers["X-Truncated"] == words
        if form != "csv":
            assert words.encode() in cut.content
        if form != "html":
            assert len(rows_of(cut, form)) == 2
    strongest = sorted(one["snr"] for one in every["rows"])[-2:]
    assert sorted(one["snr"] for one in own.get(f"{address}.json", params={"limit": 2}).json()["rows"]) == strongest


def test_a_list_of_nights_that_is_cut_says_so(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.web.tables.MAX_NIGHTS", 2)
    for day in (1, 2, 3):
        (tmp_path / f"2026-01-0{day}.json").write_text(json.dumps({"headline": "y"}))
    with serving(ServeSettings(corpus=corpus, port=0, report_dir=tmp_path)) as served:
        answer = served.get("/api/v1/nights.json")
        assert answer.headers["X-Truncated"] == answer.json()["truncated"] == "only the last 2 nights of 3"


def test_a_reader_may_take_every_list_away_and_a_stranger_none(own: Served, tmp_path: Path) -> None:
    token = add_person(tmp_path / "people.toml", "ben", "reader")
    scan = own.scans[1]
    root = own.parts.archive.root
    with serving(ServeSettings(corpus=root, port=0, tokens=tmp_path / "people.toml")) as served, \
            httpx.Client(base_url=served.address) as stranger:
        for path in ("sources", f"sources/{scan}/windows", "families", "nights"):
            for form in TABLE_FORMATS:
                address = f"/api/v1/{path}.{form}"
                answer = stranger.get(address, headers={"Authorization": f"Bearer {token}"})
                assert answer.status_code == 200, (address, answer.text)
                assert stranger.get(address).status_code == 401
