"""The API gives what the package gives: the same counts, codes, windows and hits."""

from __future__ import annotations

import base64
import html
import io
import json
import re
import shutil
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import pytest
from pydantic import TypeAdapter

from pipeline.filterbank import open_filterbank
from pipeline.hit_tables import hits
from pipeline.nightly import nightly
from pipeline.run import find_families, ingest, remove
from pipeline.search import Filters, ScanFinder, SearchRequest, open_corpus
from pipeline.web import (
    ServeSettings,
    add_person,
    answers,
    archive,
    records,
    report_paths,
    results,
    sent_answers,
    uploads,
)
from tests.hit_tables.cadence import write_hits
from tests.plot_reader.test_reading import draw, signal
from tests.run.small import COARSE
from tests.web.conftest import BURST_CHANNELS, BURSTS, FILES, HIGH_SPECTRA, LINES, SCRIPT, Served, dat, serving

NAME = "clock <img src=x onerror=alert(1)>"
"""Name of a family."""


def tile(served: Served, scan_id: str, level: int, number: int, kind: str = "max") -> tuple[np.ndarray, Any]:
    answer = served.get(f"/api/v1/sources/{scan_id}/tiles/{level}/{number}", params={"kind": kind})
    assert answer.status_code == 200, answer.text
    rows, columns = (int(answer.headers[name]) for name in ("X-Rows", "X-Columns"))
    return np.frombuffer(answer.content, np.uint8).reshape(rows, columns), answer.headers


def whole(served: Served, scan_id: str, level: int, kind: str = "max") -> np.ndarray:
    """Return all tiles of a level side by side, and check that each begins where the one before ends."""
    columns = next(one["columns"] for one in served.get(f"/api/v1/sources/{scan_id}").json()["levels"]
                   if one["level"] == level)
    pieces, at = [], 0
    for number in range(-(-columns // 1024)):
        codes, headers = tile(served, scan_id, level, number, kind)
        assert int(headers["X-Channel-Start"]) == at
        at = int(headers["X-Channel-Stop"])
        pieces.append(codes)
    assert at == 4 * COARSE
    joined = np.concatenate(pieces, axis=1)
    assert joined.shape[1] == columns
    return joined


def without_folders(hits: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return hits or windows of a family with the names of their files alone, as the server gives them."""
    return [{**hit, "file": Path(hit["file"]).name, **({"also_at": [Path(one).name for one in hit["also_at"]]}
                                                       if "also_at" in hit else {})} for hit in hits]


def test_status(served: Served, corpus: Path) -> None:
    record = served.get("/api/v1/status").json()
    expected = open_corpus(corpus).status().to_json()
    for name in set(expected) - {"corpus", "views"}:
        assert record[name] == expected[name], name
    assert record["views"] == ["f4"]
    assert record["newer_generation"] is None
    assert record["person"]["role"] == "labeller"


def test_sources_come_in_pages(served: Served) -> None:
    found, cursor = [], ""
    while cursor is not None:
        page = served.get("/api/v1/sources", params={"limit": 1, "cursor": cursor}).json()
        assert page["total"] == 2
        found += page["sources"]
        cursor = page["next"]
    assert {one["file"] for one in found} == set(FILES)
    one = found[0]
    assert (one["target"], one["telescope"], one["channels"], one["spectra"]) == (SCRIPT, "GBT", 4 * COARSE, 16)
    assert one["f_stop_mhz"] - one["f_start_mhz"] == pytest.approx(4 * COARSE * 2.7939677238464355e-06)
    assert one["overview"]
    assert one["file_there"]
    assert [one["file"] for one in served.get("/api/v1/sources", params={"q": "DOWN"}).json()["sources"]] == [FILES[1]]


def test_a_source_does_not_tell_where_its_files_lie(corpus: Path, data: Path, tmp_path: Path) -> None:
    root, again = tmp_path / "corpus", tmp_path / "again"
    shutil.copytree(corpus, root)
    again.mkdir()
    for name in (FILES[1], "copy.fil"):
        shutil.copy(data / FILES[1], again / name)
    ingest([data, again], root, serial=True)
    with serving(ServeSettings(corpus=root, port=0)) as own:
        answer = own.get(f"/api/v1/sources/{own.scans[1]}")
        assert sorted(answer.json()["files"]) == ["copy.fil", FILES[1]]  # one name, though two folders have it
        assert str(tmp_path) not in answer.text
        assert str(data) not in answer.text


@pytest.mark.parametrize("which", [0, 1], ids=["ascending", "descending"])
def test_lines_are_where_they_are_in_the_file(served: Served, which: int) -> None:
    scan_id = served.scans[which]
    levels = served.get(f"/api/v1/sources/{scan_id}").json()["levels"]
    assert [one["level"] for one in levels] == [-4, -3, -2, -1, 0]
    for level in levels:
        codes = whole(served, scan_id, level["level"]).astype(int)
        assert codes.shape[0] == level["rows"] == 16
        strength = np.where(codes == 255, -1, codes).mean(axis=0)
        expected = {channel // level["channels_per_cell"] for channel in LINES}
        assert set(np.argsort(strength)[-len(expected):].tolist()) == expected, level


@pytest.mark.parametrize("which", [0, 1], ids=["ascending", "descending"])
def test_levels_of_the_file_agree_with_the_stored_overview(served: Served, which: int) -> None:
    scan_id = served.scans[which]
    overview = whole(served, scan_id, 0)
    for level, cells in ((-4, 256), (-3, 64), (-2, 16), (-1, 4)):
        codes = whole(served, scan_id, level)
        lowest_first = (codes + np.uint8(1)).reshape(16, -1, cells)  # masked pixels become 0
        assert ((lowest_first.max(axis=2) - np.uint8(1)) == overview).all(), level
    means = whole(served, scan_id, 0, "mean").astype(int)
    sigma = np.array([np.nan if one is None else one
                      for one in served.get(f"/api/v1/sources/{scan_id}").json()["scale"]["sigma"]])
    averaged = np.nanmean(sigma[whole(served, scan_id, -4)].reshape(16, -1, 256), axis=2)
    np.testing.assert_allclose(averaged, sigma[means], rtol=0.06, atol=0.02)


def test_the_stored_overview_is_sent_as_it_is(served: Served, corpus: Path) -> None:
    scan_id = served.scans[1]
    stored = open_corpus(corpus).overview(scan_id, width=64)
    assert (whole(served, scan_id, 0) + np.uint8(1) == stored.maximum_codes).all()
    assert (whole(served, scan_id, 0, "mean") + np.uint8(1) == stored.mean_codes).all()
    sigma = served.get(f"/api/v1/sources/{scan_id}").json()["scale"]["sigma"]
    shown = np.array([np.nan if one is None else one for one in sigma])[whole(served, scan_id, 0)]
    np.testing.assert_allclose(shown, stored.maximum, rtol=1e-4, atol=1e-5)


def test_decibels_of_a_tile_are_those_of_the_file(served: Served) -> None:
    record = served.get(f"/api/v1/sources/{served.scans[0]}").json()
    db = np.array([np.nan if one is None else one for one in record["scale"]["db"]])
    codes = whole(served, served.scans[0], -4)
    for k, channel in enumerate(LINES):
        assert np.median(db[codes[:, channel]]) == pytest.approx(10 * np.log10(3 + k), abs=0.4)


def test_rows_of_few_spectra(high: Served) -> None:
    scan_id = high.get("/api/v1/sources").json()["sources"][0]["id"]
    levels = {one["level"]: one for one in high.get(f"/api/v1/sources/{scan_id}").json()["levels"]}
    assert [levels[level]["row_spectra"] for level in (-4, -1, 0)] == [[5, 2, 1], [5, 2, 1], [5]]

    def rows(step: int, kind: str) -> np.ndarray:
        """Return all rows of the tile with the bursts."""
        blocks, at = [], 0
        for block in range(-(-HIGH_SPECTRA // (64 * step))):
            answer = high.get(f"/api/v1/sources/{scan_id}/tiles/-4/3",
                              params={"kind": kind, "spectra": step, "block": block})
            assert int(answer.headers["X-Spectrum-Start"]) == at
            at = int(answer.headers["X-Spectrum-Stop"])
            blocks.append(np.frombuffer(answer.content, np.uint8).reshape(-1, 1024))
            assert len(blocks[-1]) == int(answer.headers["X-Rows"]) <= 64
        assert at == HIGH_SPECTRA
        return np.concatenate(blocks)

    single = rows(1, "max")
    assert single.shape == (HIGH_SPECTRA, 1024)
    assert (rows(1, "mean") == single).all()
    inside = single[:, BURST_CHANNELS[0] - 3072 : BURST_CHANNELS[1] - 3072].astype(int).mean(axis=1)
    assert set(np.argsort(inside)[-len(BURSTS) :].tolist()) == set(BURSTS)
    lowest_first = single + np.uint8(1)  # masked pixels become 0
    for step in (2, 5):
        expected = np.array([lowest_first[at : at + step].max(axis=0) for at in range(0, HIGH_SPECTRA, step)])
        assert (rows(step, "max") + np.uint8(1) == expected).all()
    usual, headers = tile(high, scan_id, -4, 3)
    assert (usual == rows(5, "max")).all()
    assert (headers["X-Spectrum-Start"], headers["X-Spectrum-Stop"]) == ("0", str(HIGH_SPECTRA))
    for level, asked, status in ((-4, {"spectra": 3}, 404), (0, {"spectra": 1}, 404), (-4, {"spectra": 0}, 400),
                                 (-4, {"spectra": 1, "block": 5}, 404), (-4, {"spectra": 1, "block": -1}, 400),
                                 (-4, {"spectra": "1e3"}, 400), (0, {"block": 1}, 404), (-4, {"block": 10**40}, 404)):
        answer = high.get(f"/api/v1/sources/{scan_id}/tiles/{level}/0", params=asked)
        assert answer.status_code == status, (level, asked)


def test_tiles_are_kept_by_browsers(served: Served) -> None:
    path = f"/api/v1/sources/{served.scans[0]}/tiles/0/0"
    first = served.get(path)
    assert "immutable" in first.headers["Cache-Control"]
    again = served.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert served.get(path, params={"kind": "mean"}).headers["ETag"] != first.headers["ETag"]


def test_kept_windows_of_a_range(served: Served, corpus: Path) -> None:
    opened, scan_id = served.parts.archive.pinned.opened, served.scans[1]
    every = [opened.window(source, int(number)) for source in (scan_id, f"{scan_id}+f4")
             for number in opened.numbers(source)]
    low, high = sorted(window.f_start_mhz for window in every)[len(every) // 3 :: len(every) // 3][:2]
    expected = {(window.source_id, window.number) for window in every
                if window.f_start_mhz < high and window.f_stop_mhz > low}
    assert 0 < len(expected) < len(every)
    asked = {"f_start_mhz": low, "f_stop_mhz": high}
    page = served.get(f"/api/v1/sources/{scan_id}/windows", params=asked).json()
    assert {(one["source"], one["window"]) for one in page["windows"]} == expected
    assert not page["more"]
    best = served.get(f"/api/v1/sources/{scan_id}/windows", params={**asked, "limit": 1}).json()
    assert best["more"]
    assert best["windows"][0]["snr"] == max(one["snr"] for one in page["windows"])
    for one in page["windows"]:
        assert any(one["channel_start"] <= channel < one["channel_stop"] for channel in LINES)


def test_forms_of_a_window(served: Served, corpus: Path) -> None:
    one = served.get(f"/api/v1/sources/{served.scans[0]}/windows").json()["windows"][0]
    name = f"/api/v1/windows/{one['source']}/{one['window']}"
    power = open_corpus(corpus).power_of(f"{one['source']}/{one['window']}")
    np.testing.assert_array_equal(np.load(io.BytesIO(served.get(f"{name}.npy").content), allow_pickle=False), power)
    detail = served.get(f"{name}.json").json()
    answer = served.get(f"{name}.bin")
    codes = np.frombuffer(answer.content, np.uint8).reshape(detail["spectra"], detail["channels"])
    db = np.array([np.nan if value is None else value for value in detail["scale"]["db"]])
    np.testing.assert_allclose(db[codes], 10 * np.log10(power), atol=1e-3)
    assert int(answer.headers["X-Channel-Start"]) == one["channel_start"] == detail["channel_start"]
    assert served.get(f"{name}.png").content[:8] == b"\x89PNG\r\n\x1a\n"
    assert served.get(f"/api/v1/windows/{one['source']}/99999999.json").status_code == 404


def test_a_damaged_window_does_not_keep_the_others_back(corpus: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(corpus, tmp_path / "corpus"))
    with serving(ServeSettings(corpus=root)) as own:
        names = [f"{one['source']}/{one['window']}" for scan in own.scans
                 for one in own.get(f"/api/v1/sources/{scan}/windows?limit=2").json()["windows"]]
        of_first = [name for name in names if name.startswith(f"{own.scans[0]}/")]
        for path in (root / "sources" / own.scans[0] / "cutout").glob("c*"):
            path.write_bytes(bytes(path.stat().st_size))
        answer = own.get("/api/v1/windows", params={"name": names}).json()
    assert 0 < len(of_first) < len(names)
    assert (answer["damaged"], answer["missing"]) == (of_first, [])
    assert [f"{one['source']}/{one['window']}" for one in answer["windows"]] == [
        name for name in names if name not in of_first]


def test_several_windows_come_in_one_answer(served: Served) -> None:
    kept = [one for scan in served.scans for one in served.get(f"/api/v1/sources/{scan}/windows").json()["windows"]]
    assert len({one["source"] for one in kept}) > 1
    names = [f"{one['source']}/{one['window']}" for one in reversed(kept)]
    absent = [f"{served.scans[0]}/99999999", "none/1", served.scans[1], f"{served.scans[0]}/-1"]
    answer = served.get("/api/v1/windows", params={"name": [*absent[:2], *names, *absent[2:]]}).json()
    TypeAdapter(records.WindowBatch).validate_python(answer)
    assert answer["missing"] == absent
    assert [f"{one['source']}/{one['window']}" for one in answer["windows"]] == names
    for name, one in zip(names, answer["windows"], strict=True):
        assert base64.b64decode(one.pop("codes")) == served.get(f"/api/v1/windows/{name}.bin").content
        detail = served.get(f"/api/v1/windows/{name}.json").json()
        noise = one.pop("noise_spectra")
        scale = detail.pop("scale")
        assert noise == scale["noise_spectra"]
        assert one == detail
    assert len(served.get("/api/v1/windows", params={"name": names[:1] * 64}).json()["windows"]) == 64
    for refused in ([], names[:1] * 65):
        assert served.get("/api/v1/windows", params={"name": refused}).status_code == 400


def test_a_search_gives_what_the_package_gives(served: Served, corpus: Path) -> None:
    one = served.get(f"/api/v1/sources/{served.scans[0]}/windows").json()["windows"][0]
    asked = {"window": f"{one['source']}/{one['window']}", "k": 3, "careful": True,
             "filters": {"only_mhz": [[1.0, 1e5]]}}
    answer = served.search(**asked)
    expected = open_corpus(corpus).search(window=asked["window"], k=3, careful=True,
                                           filters=Filters(only_mhz=((1.0, 1e5),)))
    said = json.loads(json.dumps(expected.to_json()))
    said["hits"], said["query"]["file"] = without_folders(said["hits"]), Path(said["query"]["file"]).name
    assert {name: answer[name] for name in said} == said
    assert len(answer["hits"]) > 0
    assert answer["request"] == asked
    assert served.get(f"/api/v1/searches/{answer['id']}").json() == answer
    assert served.search(**asked)["id"] == answer["id"]


def test_on_off_of_a_kept_result_is_that_of_the_search(served: Served) -> None:
    one = served.get(f"/api/v1/sources/{served.scans[0]}/windows").json()["windows"][0]
    asked = {"window": f"{one['source']}/{one['window']}", "k": 5}
    first = served.search(**asked)
    judged = served.post(f"/api/v1/searches/{first['id']}/on-off").json()
    assert {hit["on_off"] for hit in first["hits"]} == {None}
    assert None not in {hit["on_off"] for hit in judged["hits"]}
    assert judged == served.search(**asked, on_off=True)
    assert served.get(f"/api/v1/searches/{first['id']}").json() == first
    array = served.search(power=[[1.0] * 256] * 15 + [[9.0] * 256])
    assert served.post(f"/api/v1/searches/{array['id']}/on-off").json()["error"]["code"] == "no_array"


def test_feedback_refines_a_search(served: Served, corpus: Path) -> None:
    windows = [f"{one['source']}/{one['window']}" for one in served.get(
        f"/api/v1/sources/{served.scans[0]}/windows").json()["windows"] if not one["view"]]
    first = served.search(window=windows[0], k=5)
    given = {"like": windows[:2], "unlike": windows[2:3]}
    refined = served.post(f"/api/v1/searches/{first['id']}/feedback", json=given).json()
    TypeAdapter(answers.SearchAnswer).validate_python(refined)
    expected = open_corpus(corpus).search(window=windows[0], k=5, **given)
    assert refined["hits"] == without_folders(json.loads(json.dumps(expected.to_json()))["hits"])
    assert refined["request"] == {"window": windows[0], "k": 5, **given}
    assert refined["id"] != first["id"]
    proposed = served.get(f"/api/v1/searches/{refined['id']}/to-label", params={"count": 6}).json()
    TypeAdapter(answers.ToLabelList).validate_python(proposed)
    assert [(f"{one['source']}/{one['window']}", one["why"], round(one["score"], 5)) for one in proposed["to_label"]] \
        == [(one.window, one.why, round(one.score, 5)) for one in expected.to_label(6)] != []
    assert served.get(f"/api/v1/searches/{first['id']}/to-label").json()["error"]["code"] == "not_found"
    again = served.post(f"/api/v1/searches/{refined['id']}/feedback", json={"like": windows[3:4]}).json()
    assert again["request"] == {"window": windows[0], "k": 5, "like": windows[3:4]}
    judged = served.post(f"/api/v1/searches/{first['id']}/feedback", json={**given, "on_off": True}).json()
    assert judged["request"] == {"window": windows[0], "k": 5, **given, "on_off": True}
    assert served.post(f"/api/v1/searches/{refined['id']}/on-off").json() == judged
    assert served.post(f"/api/v1/searches/{judged['id']}/feedback", json=given).json() == judged
    without = served.post(f"/api/v1/searches/{judged['id']}/feedback", json={**given, "on_off": False}).json()
    assert without == refined
    for like in ("/etc/passwd:1–2", "../x:1–2", "../x/1"):
        refused = served.post(f"/api/v1/searches/{first['id']}/feedback", json={"like": [like]})
        assert refused.json()["error"]["code"] == "not_found", like
    assert served.post("/api/v1/searches/none/feedback", json=given).status_code == 404


def test_families(corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "CHECKED_EVERY_S", 0.0)
    copy = tmp_path / "corpus"
    shutil.copytree(corpus, copy)
    with serving(ServeSettings(corpus=copy, port=0)) as served:
        none = served.get("/api/v1/families").json()
        assert none["families"] == []
        assert "no families were found yet" in none["reason"]
        assert str(tmp_path) not in none["reason"]
        assert str(tmp_path) not in served.get("/api/v1/families/F1").text
        TypeAdapter(answers.FamilyList).validate_python(none)
        find_families(copy)
        listed = served.get("/api/v1/families").json()
        assert listed["families"] == json.loads(json.dumps(open_corpus(copy).families().to_json()))["families"] != []
        TypeAdapter(answers.FamilyList).validate_python(listed)
        name = f"/api/v1/families/{listed['families'][0]['id']}"
        one = served.get(name).json()
        members = json.loads(json.dumps(open_corpus(copy).family(listed["families"][0]["id"]).to_json()))
        assert one == {**members, "members": without_folders(members["members"])}
        TypeAdapter(answers.FamilyAnswer).validate_python(one)
        assert len(served.get(name, params={"limit": 1}).json()["members"]) == 1
        assert served.get(f"{name}/occurrence").json()["windows_counted"] == one["windows"]
        assert served.get(f"{name}.png").content[:4] == b"\x89PNG"
        for text in ("F999", "..%2F..%2Fx", "%00", quote(SCRIPT, safe="")):
            for end in ("", "/occurrence", ".png"):
                assert served.get(f"/api/v1/families/{text}{end}").status_code == 404


def test_a_labeller_names_a_family(corpus: Path, tmp_path: Path) -> None:
    copy, tokens = tmp_path / "corpus", tmp_path / "people.toml"
    shutil.copytree(corpus, copy)
    by_anna, by_ben = ({"Authorization": f"Bearer {add_person(tokens, name, role)}"}
                       for name, role in (("anna", "labeller"), ("ben", "reader")))
    with serving(ServeSettings(corpus=copy, port=0, tokens=tokens)) as served, \
            httpx.Client(base_url=served.address) as program:
        def put(name: Any, headers: dict[str, str] = by_anna, family: str = "F1") -> httpx.Response:
            return program.put(f"/api/v1/families/{family}/name", json={"name": name}, headers=headers)

        nothing = put("x")
        assert (nothing.status_code, str(tmp_path) in nothing.text) == (404, False)
        find_families(copy)
        refused = put("x", by_ben)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "not_a_labeller")
        assert put(f" {NAME}").json() == {"id": "F1", "name": NAME, "before": ""}
        for path in ("F1", quote(NAME, safe="")):  # seen at once, by everybody
            assert program.get(f"/api/v1/families/{path}", headers=by_ben).json()["name"] == NAME
        listed = program.get("/api/v1/families", headers=by_ben).json()["families"]
        assert [one["name"] for one in listed if one["id"] == "F1"] == [NAME]
        assert open_corpus(copy).family("F1").family.name == NAME
        for bad, family, status in (("a\nb", "F1", 404), ("x" * 201, "F1", 400), (3, "F1", 400), ("x", "F999", 404),
                                    ("x", "..%2F..%2Fx", 404)):
            assert put(bad, family=family).status_code == status, (bad, family)
        assert put("").json() == {"id": "F1", "name": "", "before": NAME}
        assert program.get("/api/v1/families/F1", headers=by_ben).json()["name"] == ""


def test_a_range_of_a_file_below_a_data_root(served: Served) -> None:
    opened, scan_id = served.parts.archive.pinned.opened, served.scans[1]
    header = opened.manifest.sources[scan_id].header
    low, high = (header.channel_edge_mhz(LINES[3] + offset) for offset in (-100, 90))
    asked = {"f_start_mhz": low, "f_stop_mhz": high}
    by_id, by_name = (served.search(file=name, **asked) for name in (scan_id, FILES[1]))
    assert by_id["hits"] == by_name["hits"]
    assert by_id["query"]["source"] == scan_id


def test_occurrence_of_a_search(served: Served, corpus: Path) -> None:
    one = served.get(f"/api/v1/sources/{served.scans[0]}/windows").json()["windows"][0]
    asked = {"window": f"{one['source']}/{one['window']}", "min_score": 0.5}
    found = served.get(f"/api/v1/searches/{served.search(**asked)['id']}/occurrence", params={"by": "target"}).json()
    expected = open_corpus(corpus).occurrence(SearchRequest.from_json(asked), by=["target"])
    assert found == json.loads(json.dumps(expected.to_json()))
    assert list(found["by"]) == ["target"]
    TypeAdapter(answers.OccurrenceAnswer).validate_python(found)


def test_exports(served: Served) -> None:
    one = served.get(f"/api/v1/sources/{served.scans[0]}/windows").json()["windows"][0]
    answer = served.search(window=f"{one['source']}/{one['window']}")
    name = f"/api/v1/searches/{answer['id']}"
    assert served.get(f"{name}.json").json()["hits"] == answer["hits"]
    rows = served.get(f"{name}.csv").text.splitlines()
    assert rows[0].startswith("rank,score,source,")
    assert len(rows) == 1 + len(answer["hits"])
    assert served.get(f"{name}.png").content[:4] == b"\x89PNG"
    assert b"<VOTABLE" in served.get(f"{name}.vot").content
    assert served.get(f"{name}.exe").json()["error"]["code"] == "no_such_format"
    assert served.get(f"{name}.html").text.lower().startswith("<!doctype html>")
    assert served.get("/api/v1/searches/ffff.json").json()["error"]["code"] == "no_such_search"


def test_an_array_is_sent_and_searched_for(served: Served) -> None:
    power = np.random.default_rng(1).gamma(102, 1 / 102, (16, 256))
    power[:, 100] += 3
    file = io.BytesIO()
    np.save(file, power)
    rows = served.post("/api/v1/query-rows", params={"name": "mine.npy"}, content=file.getvalue()).json()
    TypeAdapter(sent_answers.QueryRows).validate_python(rows)
    answer = served.search(**rows["rows"][0]["request"])
    assert answer["query"]["kind"] == "array"
    assert len(answer["hits"]) > 0
    direct = served.search(power=power.tolist())
    assert direct["hits"] == answer["hits"]
    assert "power" not in direct["request"]


def test_rows_of_a_hit_table(served: Served) -> None:
    header = served.parts.archive.pinned.opened.manifest.sources[served.scans[1]].header
    f_mhz = header.channel_edge_mhz(LINES[3] + 0.5)
    table = dat(header.tstart_mjd, f_mhz, 1.0) + "rubbish\n"
    answer = served.post("/api/v1/query-rows", params={"name": "../down.dat"}, content=table.encode()).json()
    TypeAdapter(sent_answers.QueryRows).validate_python(answer)
    good, outside, bad = answer["rows"]
    assert good["request"]["file"] == served.scans[1]
    assert served.search(**good["request"])["query"]["source"] == served.scans[1]
    assert "not within the band" in outside["reason"]
    assert bad["reason"]
    assert outside["request"] is bad["request"] is None
    assert answer["left_out"] == 0
    given = served.post(f"/api/v1/query-rows/{answer['table']}/answers", json={"rows": [1, 2, 3], "k": 5}).json()
    TypeAdapter(sent_answers.RowAnswers).validate_python(given)
    found, *others = given["answers"]
    single = served.search(**good["request"], k=5, on_off=True)["hits"]
    assert found["of_hits"] == len(single) > 0
    assert found["best_window"] == f"{single[0]['source']}/{single[0]['window']}"
    assert [one["reason"] for one in others] == [outside["reason"], bad["reason"]]
    for path, body, status in ((f"{answer['table']}/answers", {"rows": []}, 400), ("x/answers", {"rows": [1]}, 404),
                               (f"{answer['table']}/answers", {"rows": [1] * 51}, 400)):
        assert served.post(f"/api/v1/query-rows/{path}", json=body).status_code == status


def test_a_row_that_is_searched_for_by_its_pixels_leaves_out_its_own_signal(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = served.parts.archive.pinned.opened
    source_id, header = served.scans[1], opened.manifest.sources[served.scans[1]].header
    channel = int(LINES[3]) - 60
    with open_filterbank(opened.manifest.sources[source_id].path) as file:
        power = file.read(0, 16, channel, channel + 120)
    line_mhz, first_mhz = header.channel_edge_mhz(LINES[3] + 0.5), header.channel_edge_mhz(channel + 0.5)
    path = write_hits(tmp_path / "some.hits", [(line_mhz, 0.0, power, first_mhz)], foff_mhz=abs(header.foff_mhz),
                      target=header.source_name, mjd=header.tstart_mjd, telescope_id=header.telescope_id)
    monkeypatch.setattr(ScanFinder, "_named", lambda self, scan: [])  # no source is named like the table
    sent = served.post("/api/v1/query-rows", params={"name": "some.hits"}, content=path.read_bytes()).json()
    (row,) = sent["rows"]
    together = served.post(f"/api/v1/query-rows/{sent['table']}/answers", json={"rows": [1]}).json()["answers"][0]

    answer = served.search(**row["request"], k=24)

    def own(hits: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [hit for hit in hits if hit["source"] == source_id and hit["f_start_mhz"] < line_mhz < hit["f_stop_mhz"]]

    assert own(answer["hits"]) == []
    assert together["own_windows"] > 0
    assert f"{together['own_windows']} window" in answer["query"]["note"]
    assert len(answer["hits"]) == together["of_hits"] > 0
    assert own(served.search(power=power.tolist(), k=24)["hits"]), "an array is of no scan"


def test_a_picture_is_read_and_read_again(served: Served, tmp_path: Path) -> None:
    power = signal()
    content = draw(tmp_path / "plot.png", power, size=(12, 6)).read_bytes()
    answer = served.post("/api/v1/query-rows", params={"name": "plot.png"}, content=content).json()
    TypeAdapter(sent_answers.QueryRows).validate_python(answer)
    (row,) = answer["rows"]
    assert (answer["kind"], answer["is_drawn"], row["reason"]) == ("picture", True, "")
    assert "16 spectra" in row["words"]
    assert served.get(f"/api/v1/pictures/{answer['picture']}.png").content[:4] == b"\x89PNG"
    assert served.search(**row["request"], k=3)["query"]["kind"] == "array"
    kept = served.parts.uploads.get(row["request"]["upload"])
    again = served.post(f"/api/v1/pictures/{answer['picture']}", params={"time_runs": "down"}).json()["rows"][0]
    np.testing.assert_allclose(served.parts.uploads.get(again["request"]["upload"]), kept[::-1], rtol=1e-9)
    linear = served.post(f"/api/v1/pictures/{answer['picture']}", params={"scale": "linear"}).json()
    assert "bar" in linear["rows"][0]["reason"]
    assert linear["rows"][0]["request"] is None
    assert served.get(f"/api/v1/pictures/{answer['picture']}.png").status_code == 404
    assert served.post("/api/v1/pictures/x").json()["error"]["code"] == "no_such_upload"
    assert served.post(f"/api/v1/pictures/{answer['picture']}", params={"hz": -1}).status_code == 400
    no_picture = served.post("/api/v1/query-rows", params={"name": "a.png"}, content=b"x").json()
    assert "a.png: no picture" in no_picture["rows"][0]["reason"]


def test_what_is_not_installed_is_said(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    hits._schema.cache_clear()
    monkeypatch.setitem(sys.modules, "capnp", None)
    monkeypatch.setattr("pipeline.hit_tables.read.is_hits", lambda data: True)
    answer = served.post("/api/v1/query-rows", params={"name": "x.hits"}, content=bytes(64))
    assert (answer.status_code, answer.json()["error"]["code"]) == (501, "not_installed")
    assert "pycapnp" in answer.json()["error"]["message"]
    hits._schema.cache_clear()


def test_scripts_are_kept_but_checked(served: Served) -> None:
    first = served.get("/static/js/api.js")
    assert first.headers["Cache-Control"] == "no-cache"
    second = served.get("/static/js/api.js", headers={"If-None-Match": first.headers["ETag"]})
    assert (second.status_code, second.content) == (304, b"")


def test_what_pages_load_is_kept_without_being_checked(served: Served) -> None:
    page = served.get("/nights").text
    addresses = re.findall(r'(?:src|href)="(/static/[^"]+)"', page)
    assert len(addresses) >= 5
    for address in addresses:
        answer = served.get(address)
        assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "public, max-age=31536000, immutable")


def test_uploads_go_with_their_searches(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "MAX_KEPT", 1)
    with serving(ServeSettings(corpus=corpus, port=0)) as served:
        file = io.BytesIO()
        power = np.random.default_rng(1).gamma(102, 1 / 102, (16, 256))
        power[:, 100] += 3
        np.save(file, power)
        request = served.post("/api/v1/query-rows", params={"name": "a.npy"}, content=file.getvalue()).json()
        served.search(**request["rows"][0]["request"])
        assert len(served.parts.uploads) == 1
        one = served.get(f"/api/v1/sources/{served.scans[0]}/windows").json()["windows"][0]
        served.search(window=f"{one['source']}/{one['window']}")
        assert len(served.parts.uploads) == 0
        answer = served.post("/api/v1/searches", json=request["rows"][0]["request"])
        assert answer.json()["error"]["code"] == "no_such_upload"


def test_uploads_that_nobody_searches_for_go_after_an_hour(corpus: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(ServeSettings(corpus=corpus, port=0)) as served:
        sent = []
        for place in (60, 100):
            power, file = np.random.default_rng(1).gamma(102, 1 / 102, (16, 256)), io.BytesIO()
            power[:, place] += 3
            np.save(file, power)
            rows = served.post("/api/v1/query-rows", params={"name": "a.npy"}, content=file.getvalue()).json()["rows"]
            sent.append(rows[0]["request"])
        served.search(**sent[0])
        parts = served.parts
        parts.forget_old()
        assert len(parts.uploads) == 2
        monkeypatch.setattr(uploads, "LIFE_S", -1.0)
        parts.forget_old()
        assert len(parts.uploads) == 1
        parts.uploads.get(sent[0]["upload"])  # its search is kept


def test_labels_know_who(corpus: Path, tmp_path: Path) -> None:
    copy, tokens = tmp_path / "corpus", tmp_path / "people.toml"
    shutil.copytree(corpus, copy)
    anna, ben = add_person(tokens, "anna", "labeller"), add_person(tokens, "ben", "reader")
    with serving(ServeSettings(corpus=copy, port=0, tokens=tokens)) as served:
        one = served.get(f"/api/v1/sources/{served.scans[0]}/windows").json()["windows"][0]
        window = f"{one['source']}/{one['window']}"
        body = {"windows": [window], "label": f"comb {SCRIPT}"}
        by_anna, by_ben = ({"Authorization": f"Bearer {token}"} for token in (anna, ben))
        with httpx.Client(base_url=served.address) as program:
            refused = program.put("/api/v1/labels", json=body, headers=by_ben)
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, "not_a_labeller")
            assert program.delete("/api/v1/labels", headers=by_ben).status_code == 403
            added = program.put("/api/v1/labels", json=body, headers=by_anna).json()["labels"]
            assert program.put("/api/v1/labels", json=body, headers=by_anna).json()["labels"] == []
            assert [one["who"] for one in added] == ["anna"]
            listed = program.get("/api/v1/labels", params={"source": one["source"]}, headers=by_ben).json()
            assert listed == {"labels": added, "more": False}
            assert [label.text for label in open_corpus(copy).labels.of(window)] == [body["label"]]
            undone = program.delete("/api/v1/labels", headers=by_anna).json()
            assert program.get("/api/v1/labels", headers=by_ben).json()["labels"] == []
            again = program.delete("/api/v1/labels", params={"id": undone["id"]}, headers=by_anna)
            assert again.status_code == 200
            assert len(program.get("/api/v1/labels", headers=by_ben).json()["labels"]) == 1
            for windows, text in (([f"{one['source'][:8]}/{one['window']}"], "x"), (["../../x/1"], "x"),
                                  ([window], " "), ([window], "a\nb"), ([], "x"), ([window] * 1001, "x"),
                                  ([f"{one['source']}/999999"], "x")):
                bad = program.put("/api/v1/labels", json={"windows": windows, "label": text}, headers=by_anna)
                assert bad.status_code in (400, 404, 409), (windows[:1], text)
        assert served.search(window=window)["hits"] is not None


def test_known_interference_and_sessions(served: Served) -> None:
    bands = served.get("/api/v1/known", params={"f_start_mhz": 1575.0, "f_stop_mhz": 1576.0}).json()["bands"]
    assert any("GPS" in one["name"] for one in bands)
    assert all(one["f_start_mhz"] <= 1576 and one["f_stop_mhz"] >= 1575 for one in bands)
    sessions = served.get("/api/v1/sessions").json()["sessions"]
    assert sorted(scan["scan_id"] for one in sessions for scan in one["scans"]) == sorted(served.scans)
    detail = served.get(f"/api/v1/sources/{served.scans[0]}").json()
    assert detail["session"] == [scan["scan_id"] for one in sessions for scan in one["scans"]
                                 if any(other["scan_id"] == served.scans[0] for other in one["scans"])]


def test_nights(corpus: Path, tmp_path: Path) -> None:
    reports = tmp_path / "reports"
    reports.mkdir()
    for name, headline in (("2026-01-02", "first"), ("2026-01-02-2", "second"), ("2026-01-02-10", "tenth")):
        (reports / f"{name}.json").write_text(json.dumps({"headline": headline, "began": "b", "ended": "e",
                                                          "exit_code": 0}))
        (reports / f"{name}.html").write_text(f"<p>{headline}")
    (reports / "2026-01-01.json").write_text('{"headline": "first of all", "exit_code": "none"}')
    (reports / "latest.json").write_text("{}")
    (reports / "2026-01-03.json").write_text("no JSON")
    with serving(ServeSettings(corpus=corpus, port=0, report_dir=reports)) as served:
        nights = served.get("/api/v1/nights").json()["nights"]
        assert [one["name"] for one in nights] == ["2026-01-03", "2026-01-02-10", "2026-01-02-2", "2026-01-02",
                                                      "2026-01-01"]
        assert "cannot be read" in nights[0]["headline"]
        assert served.get("/api/v1/nights/2026-01-02").json()["headline"] == "first"
        page = served.get("/api/v1/nights/2026-01-02.html")
        assert page.text == "<p>first"
        assert page.headers["Content-Security-Policy"].startswith("sandbox;")
        for name in ("latest", "..%2Fcorpus", "2026-01-04"):
            assert served.get(f"/api/v1/nights/{name}").status_code == 404


def test_nights_do_not_tell_where_files_lie(corpus: Path, data: Path, tmp_path: Path) -> None:
    root = tmp_path / "a disk & more"
    folder = root / "data" / "night 1"
    folder.mkdir(parents=True)
    copy, aside = root / "corpus", root / "gone"
    shutil.copytree(corpus, copy)
    (folder / "cut.fil").write_bytes((data / FILES[1]).read_bytes()[:3000])
    (folder / "link.fil").symlink_to(root / "nowhere.fil")
    night = nightly([root / "data", aside], copy, min_age_s=0, serial=True)
    stored = night.files["json"].read_text()
    assert str(root) in stored
    with serving(ServeSettings(corpus=copy, port=0)) as served:
        name = served.get("/api/v1/nights").json()["nights"][0]["name"]
        report, page = served.get(f"/api/v1/nights/{name}").json(), served.get(f"/api/v1/nights/{name}.html")
    for text in (json.dumps(report), html.unescape(page.text)):
        for place in (str(root), "disk & more", tmp_path.name, str(corpus.parent)):
            assert place not in text, place
        assert "night 1/cut.fil" in text
        assert "night 1/link.fil" in text
    assert report["corpus"] == "corpus"
    assert report["missing"] == ["gone"]
    assert report["data"] == ["data", "gone"]
    whole = json.loads(stored)
    assert report["before"] == whole["before"]  # what is no text stays as it is
    assert report["began"] == whole["began"]
    written = night.files["html"].read_text()
    assert re.findall("<[^>]*>", page.text) == re.findall("<[^>]*>", written)  # pictures too


@pytest.mark.parametrize(("text", "said"), [
    ("/x y/data/sub/a.fil: bad", "sub/a.fil: bad"), ("in '/x y/data'", "in 'data'"), ("/x y/data", "data"),
    ("/other/place/b.h5 is gone", "b.h5 is gone"), ("3 MHz/s, 1/2 of", "3 MHz/s, 1/2 of"), ("in /tmp", "in /tmp"),
    ("--corpus /x y/corpus --repair", "--corpus corpus --repair"), ("a/b/c and 1530.1/x/y", "a/b/c and 1530.1/x/y"),
    ("c.h5: links to /secret dir, (x)/no.h5, which does not exist; mend it",
     "c.h5: links to no.h5, which does not exist; mend it"),
    ("/odd/\\xff & x/c.h5: links to /a/b/no.h5, which", "c.h5: links to no.h5, which")])
def test_a_text_of_a_report_is_shortened(text: str, said: str) -> None:
    assert report_paths.shortener({"data": ["/x y/data"], "corpus": "/x y/corpus", "path": "/odd/\udcff & x/c.h5"})(
        text) == said


def test_answers_are_as_the_openapi_document_says(served: Served) -> None:
    scan_id = served.scans[0]
    one = served.get(f"/api/v1/sources/{scan_id}/windows").json()["windows"][0]
    window = f"{one['source']}/{one['window']}"
    search = served.search(window=window, on_off=True, rerank=True)
    for kind, record in (
        (answers.StatusAnswer, served.get("/api/v1/status").json()), (answers.SearchAnswer, search),
        (answers.SessionList, served.get("/api/v1/sessions").json()),
        (answers.NightList, served.get("/api/v1/nights").json()),
        (records.SourcePage, served.get("/api/v1/sources").json()),
        (records.SourceDetail, served.get(f"/api/v1/sources/{scan_id}").json()),
        (records.WindowDetail, served.get(f"/api/v1/windows/{window}.json").json()),
    ):
        TypeAdapter(kind).validate_python(record)


def test_the_openapi_document(served: Served) -> None:
    document = served.get("/api/v1/openapi.json").json()
    assert document["openapi"].startswith("3.")
    body = document["components"]["schemas"]["SearchBody"]
    # a new parameter must be looked at before it is added to the body: can a file be read through it?
    assert set(body["properties"]) == {one.name for one in fields(SearchRequest)} - {"inside", "one_shot"} | {"upload"}
    assert body["additionalProperties"] is False
    for path, methods in document["paths"].items():
        assert path.startswith("/api/v1/")
        for method, described in methods.items():
            assert described["summary"], path
            good = described["responses"]["200"]["content"]
            assert all(one.get("schema") != {} for name, one in good.items() if name == "application/json"), (
                f"{method} {path} answers something untyped")
            assert "4XX" in described["responses"]


def test_errors_have_one_form(served: Served) -> None:
    bad = [served.get("/api/v1/sources/none"), served.get("/api/v1/nothing"), served.get("/api/v1/sources?limit=0"),
           served.post("/api/v1/searches", json={"window": 3}), served.post("/api/v1/searches", json={"windo": "a/1"}),
           served.post("/api/v1/searches", content=b"{"), served.post("/api/v1/searches", json={"window": "x/1"}),
           served.post("/api/v1/searches", json={"window": "a/1", "k": 1001}),
           served.post("/api/v1/searches", json={"window": "a/1", "upload": "x"}),
           served.client.put("/api/v1/status", headers={"Origin": served.address})]
    assert [answer.status_code for answer in bad] == [404, 404, 400, 400, 400, 400, 404, 400, 400, 405]
    for answer in bad:
        error = answer.json()["error"]
        assert error.keys() == {"code", "message", "hint", "parameters"}
        assert error["code"]
        assert error["message"]


def test_metrics_and_health(served: Served) -> None:
    served.get("/api/v1/status")
    text = served.get("/metrics").text
    assert 'lookalike_requests_total{method="GET",route="/api/v1/status",status="200"}' in text
    assert 'le="+Inf"' in text
    assert f"lookalike_generation {served.parts.archive.pinned.generation}" in text
    for line in text.splitlines():
        assert line.startswith("#") or len(line.rsplit(" ", 1)) == 2
    assert served.get("/healthz").text == "ok\n"


def test_a_night_lands_meanwhile(corpus: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "CHECKED_EVERY_S", 0.0)
    copy = tmp_path / "corpus"
    shutil.copytree(corpus, copy)
    with serving(ServeSettings(corpus=copy, port=0)) as served:
        before = served.get("/api/v1/status").json()
        scan_id = served.scans[1]
        one = served.get(f"/api/v1/sources/{scan_id}/windows").json()["windows"][0]
        window = f"{one['source']}/{one['window']}"
        remove([scan_id], copy)
        after = served.get("/api/v1/status").json()
        assert after["generation"] == before["generation"] < after["newer_generation"]
        assert len(served.search(window=window)["hits"]) > 0
        moved = served.post("/api/v1/generation", json={"generation": after["newer_generation"]}).json()
        assert moved == {"generation": after["newer_generation"], "newer_generation": None}
        assert served.get(f"/api/v1/sources/{scan_id}").status_code == 404
        assert served.post("/api/v1/searches", json={"window": window}).status_code == 404
        assert served.post("/api/v1/generation", json={"generation": 10**6}).status_code == 409
