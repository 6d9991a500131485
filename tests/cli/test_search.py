"""``lookalike search``: three kinds of query, three forms of output, and queries that are refused."""

from __future__ import annotations

import csv
import io
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from pipeline.cli.search import table
from pipeline.config import RunConfig
from pipeline.execute.cluster import embedded_cluster
from pipeline.export import csv_of
from pipeline.model import Hit, Match, OffPower, OnOff, Window
from pipeline.search import Filters, QueryDescription, SearchRequest, SearchResult, open_corpus
from pipeline.search.correlate import WEIGHT
from pipeline.search.panels import Panels
from pipeline.search.result import HIT_COLUMNS
from pipeline.significance import Background
from tests.cli.conftest import Lookalike
from tests.run.bad import rename_keyword
from tests.run.small import archive, noisy_power
from tests.run.workers import credentials, tls_flags

PROMISED = {"rank", "score", "source", "file", "window", "f_start_mhz", "f_stop_mhz", "t_start_s", "t_stop_s", "mjd",
            "snr"}
"""Keys of a hit that other programs rely on; there may be more."""
RANGE = ("--f-start", "8419.46", "--f-stop", "8419.4605")


def hit(
    rank: int, source: str = "GBT_59000_0_A", file: str = "/d/a.h5", merged: tuple[int, ...] = (), **more: Any
) -> Hit:
    window = Window(source, 40 + rank, 0, 256, 0, 16, 1400.123456789, 1400.124172, 0.0, 292.057776, 59_000.25)
    return Hit(rank, 0.987654321, window, source, file, "A", 6, 123.456, merged, **more)


def result(*hits: Hit) -> SearchResult:
    corpus = {"windows": 12_345, "vectors": 1234, "searched": 1234, "sources": 3, "generation": 2}
    asked = QueryDescription(kind="window", source="GBT_59000_0_A", window=3)
    return SearchResult(asked, SearchRequest(window="GBT_59000_0_A/3"), "spectral-v1-ab", (), (), corpus, hits,
                        Background(1234, reason="no signals"), None,
                        lambda: np.zeros((16, 256)), lambda hits: [np.zeros((16, 256)) for _ in hits],
                        panels=cast(Panels, None))


# --- answers -------------------------------------------------------------------------------------------------------


def test_the_table_has_a_line_a_hit() -> None:
    assert table(result(hit(1), hit(2, merged=(4, 5)))) == [
        "2 hits among 1,234 signals (12,345 windows, 3 sources), by spectral-v1-ab",
        "nothing is known about chance: no signals",
        "     score                      MHz             s          MJD     SNR  window",
        "  1  0.988  1400.123457–1400.124172      0–292     59000.25000   123.5  GBT_59000_0_A/41",
        "  2  0.988  1400.123457–1400.124172      0–292     59000.25000   123.5  GBT_59000_0_A/42 and 2 touching",
    ]
    assert table(result(hit(1)))[0].startswith("1 hit among 1,234 signals")
    assert table(result()) == ["0 hits among 1,234 signals (12,345 windows, 3 sources), by spectral-v1-ab"]


def test_the_table_says_what_is_expected_by_chance() -> None:
    sure = hit(1, expected=3.21e-7, extrapolated=True, q=3.21e-7)
    some = hit(2, expected=12.3, extrapolated=False, q=1.0)
    assert table(result(sure, some))[1:] == [
        "1 convincing, 0 plausible; expected by chance <1e-06",
        "     score expected                      MHz             s          MJD     SNR  window",
        "  1  0.988   <1e-06  1400.123457–1400.124172      0–292     59000.25000   123.5  GBT_59000_0_A/41",
        "  2  0.988       12  1400.123457–1400.124172      0–292     59000.25000   123.5  GBT_59000_0_A/42",
    ]
    asked = replace(result(sure, some), request=SearchRequest(window="GBT_59000_0_A/3", q=True))
    assert [line[:27] for line in table(asked)[2:]] == [
        "     score expected       q", "  1  0.988   <1e-06  <1e-06", "  2  0.988       12     1.0"]


def test_the_head_says_how_many_signals_were_searched_and_what_orders_the_hits() -> None:
    plain = result(hit(1))
    few = replace(plain, corpus={**plain.corpus, "searched": 56})
    assert table(few)[0] == "1 hit among 56 of 1,234 signals (12,345 windows, 3 sources), by spectral-v1-ab"
    near = replace(plain, request=replace(plain.request, near_frequency=0.5))
    assert table(near)[2] == "ordered by score + 0.5 × nearness to the query's frequency: 1 there, .69 at 2 MHz from it"
    assert len(table(near)) == len(table(plain)) + 1
    reranked = replace(hit(1), match=Match(0.75, 0.0, 0.0, 0.0, False), reranked=0.9284)
    compared = table(replace(result(reranked), request=replace(plain.request, rerank=True)))
    assert compared[2] == "ordered by reranked: 0.75 × score + 0.25 × correlation"
    assert compared[3].split()[:3] == ["score", "correlation", "reranked"]
    assert compared[4].split()[1:4] == ["0.988", "0.750", "0.928"]
    expanded = table(result(replace(hit(1), expanded=0.9912)))
    assert expanded[2].startswith("ordered by expanded, the cosine with ")
    assert expanded[3].split()[:2] == ["score", "expanded"]
    assert expanded[4].split()[1:3] == ["0.988", "0.991"]


def test_the_table_says_which_of_several_windows_of_the_query_a_hit_resembles() -> None:
    asked = Window("GBT_59000_0_B", -1, 0, 256, 16, 32, 1420.5, 1420.500715, 292.057776, 584.115552, 59_000.5)
    one = replace(hit(1), query_window=asked)
    several = replace(result(one), description=replace(result().description, windows=2))
    assert table(several)[2:] == [
        "     score                      MHz             s          MJD     SNR                query MHz       query s"
        "  window",
        "  1  0.988  1400.123457–1400.124172      0–292     59000.25000   123.5  1420.500000–1420.500715    292–584   "
        "  GBT_59000_0_A/41",
    ]
    single = replace(several, description=replace(several.description, windows=1))
    assert table(single) == table(result(one)) == table(result(hit(1)))
    assert table(replace(several, hits=(hit(1),))) == table(result(hit(1)))  # an array's windows have no frequency


def test_the_table_says_how_many_windows_of_a_wide_pattern_are_there() -> None:
    wide = result(hit(1, merged=(44, 47)), hit(2))
    wide = replace(wide, description=replace(wide.description, windows=5, arranged=True))
    assert [line.rpartition("GBT_59000_0_A/")[2] for line in table(wide)[3:]] == ["41 (3 of 5 windows)",
                                                                                  "42 (1 of 5 windows)"]


def test_the_table_names_known_interference_once_for_all_hits_of_a_band() -> None:
    gps, radar = ("GPS L1", "Galileo E1"), ("Airport radar",)
    some = result(*(hit(rank, known=known) for rank, known in enumerate((gps, gps, (), radar, gps, gps), start=1)))
    assert table(some)[-2:] == ["known interference there: GPS L1, Galileo E1 (hits 1–2, 5–6)",
                                "known interference there: Airport radar (hit 4)"]
    assert table(result(hit(1, known=radar)))[-1] == "known interference there: Airport radar (the hit)"
    assert "known interference" not in "".join(table(result(hit(1), hit(2))))


def test_the_csv_is_read_back_whatever_names_it_holds() -> None:
    names = ["/a b/ü 🛰.h5", 'quo"te,comma', "new\nline", "cr\r\nlf", "'", " space "]
    text = csv_of(result(*(hit(rank, file=name, merged=(7, 8), also_at=("/b, c", "/d"), copies=("B/1", "C/2"),
                           known=("GPS L1", "Galileo E1"),
                           on_off=OnOff("ON only", power=(OffPower("B", 3.21, 4.86), OffPower("C", 2.0, 3.6))))
                           for rank, name in enumerate(names))))
    assert text.startswith(",".join(HIT_COLUMNS) + ",note\r\n")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["file"] for row in rows] == names
    assert {tuple(row)[:-1] for row in rows} == {tuple(hit(1).to_json())} == {HIT_COLUMNS}
    assert rows[1] == {"rank": "1", "score": "0.987654", "source": "GBT_59000_0_A", "file": names[1], "target": "A",
                       "window": "41", "view": "", "f_start_mhz": "1400.123456789", "f_stop_mhz": "1400.124172",
                       "t_start_s": "0.0", "t_stop_s": "292.057776", "mjd": "59000.25", "snr": "123.46",
                       "merged": "7 8", "correlation": "", "shift_hz": "", "shift_s": "",
                       "extra_drift_hz_per_s": "", "mirrored": "", "reranked": "", "expanded": "", "nearness": "",
                       "expected": "", "expected_low": "",
                       "expected_high": "", "extrapolated": "", "p": "", "q": "",
                       "query_f_start_mhz": "", "query_f_stop_mhz": "", "query_t_start_s": "", "query_t_stop_s": "",
                       "also_at": "/b, c | /d", "copies": "B/1 C/2", "known": "GPS L1 | Galileo E1",
                       "labels": "", "family": "", "family_name": "", "not_searched": "",
                       "on_off": "ON only", "in_off": "", "on_off_reason": "", "on_snr": "",
                       "off_power": "B 3.2 (at most 4.9) | C 2.0 (at most 3.6)", "note": ""}


FORMULAS = ["=1+1", "+cmd|' /C calc'!A0", "-2", "@SUM(A1)", "  =1", "\r=1", "＝1"]
HARMLESS = ["/a=b", "2-3", "", "'quoted", "ü=1"]


@pytest.mark.parametrize("name", [*FORMULAS, *HARMLESS])
def test_no_cell_of_the_csv_is_a_formula_and_numbers_stay_numbers(name: str) -> None:
    one = replace(hit(1), target=name, snr=-3.5)
    noted = replace(result(one), description=result().description.with_notes(name))
    [row] = csv.DictReader(io.StringIO(csv_of(noted), newline=""))
    assert row["target"] == row["note"] == (f"'{name}" if name in FORMULAS else name)
    assert row["snr"] == "-3.5"


def test_nothing_in_the_csv_or_the_table_is_obeyed_by_a_terminal() -> None:
    name = "a\x1b[31m\x07\x9b\u202e\u2066b\u200f\x00"
    answer = result(hit(1, source=name, file=name))
    for text in (csv_of(answer), "\n".join(table(answer))):
        assert not [letter for letter in text if letter in name and not letter.isprintable()]
        assert r"a\x1b[31m\x07\x9b\u202e\u2066b\u200f\x00" in text


def test_notes_are_in_every_row_of_the_csv() -> None:
    noted = replace(result(hit(1), hit(2)), description=result().description.with_notes("no signal", "two files"))
    rows = csv.DictReader(io.StringIO(csv_of(noted), newline=""))
    assert [row["note"] for row in rows] == ["no signal; two files"] * 2


def test_table_csv_and_json_say_the_same(lookalike: Lookalike, corpus: Path, kept: str) -> None:
    asked = ("search", "--corpus", corpus, "--window", kept, "-k", "5")
    answer, as_csv, as_table = (lookalike(*asked, *form) for form in (["--json"], ["--csv"], []))
    for ran in (answer, as_csv, as_table):
        assert (ran.code, ran.err) == (0, "")
    record = answer.json
    assert set(record) == {"query", "corpus", "not_searched", "verdict", "background", "hits"}
    assert {"windows", "vectors"} <= set(record["corpus"])
    assert record["corpus"]["windows"] == 192
    hits = record["hits"]
    assert [one["rank"] for one in hits] == [1, 2, 3, 4, 5]
    for one in hits:
        assert set(one) >= PROMISED
        assert f"{one['source']}/{one['window']}" != kept
        assert -1 <= one["score"] <= 1
    rows = list(csv.DictReader(io.StringIO(as_csv.out, newline="")))
    assert [(row["source"], int(row["window"]), float(row["score"])) for row in rows] == [
        (one["source"], one["window"], one["score"]) for one in hits]
    *lines, known = as_table.out.splitlines()[3:]
    assert known == "known interference there: Deep-space downlink (X band) (all hits)"
    for line, one in zip(lines, hits, strict=True):
        assert one["known"] == ["Deep-space downlink (X band)"]
        assert line.split()[:2] == [str(one["rank"]), f"{one['score']:.3f}"]
        assert f"{one['source']}/{one['window']}" in line


def test_the_answer_is_that_of_the_python_api(lookalike: Lookalike, corpus: Path, kept: str) -> None:
    for flags, named in (([], {"k": 10}), (["--exact", "-k", "3"], {"k": 3, "exact": True}),
                         (["--all-resolutions", "--encoder", "power-spectrum"], {"all_resolutions": True})):
        ran = lookalike("search", "--corpus", corpus, "--window", kept, *flags, "--json")
        assert ran.json == open_corpus(corpus).search(window=kept, one_shot=True, **named).to_json()


def test_a_cluster_gives_the_same_answer(lookalike: Lookalike, corpus: Path, kept: str) -> None:
    asked = ("search", "--corpus", corpus, "--window", kept, "--json")
    with embedded_cluster(RunConfig(workers=1)) as cluster, credentials(cluster) as certificates:
        ran = lookalike(*asked, "--scheduler", cluster.scheduler_address, *tls_flags(certificates))
        assert ran.code == 0, ran.err
        here = lookalike(*asked).json
        assert (ran.json["hits"], ran.json["corpus"]) == (here["hits"], here["corpus"])
    ran = lookalike(*asked, "--scheduler", "nonsense")
    assert ran.code == 2
    assert "no Dask scheduler answers at nonsense" in ran.err
    ran = lookalike(*asked, "--scheduler", "tcp://127.0.0.1:1")
    assert ran.code == 2
    assert "lets every user of this machine run code" in ran.err
    assert "--insecure" in ran.err


def test_queries_by_range_and_by_array(
    lookalike: Lookalike, corpus: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    by_name, by_path = (lookalike("search", "--corpus", corpus, "--file", name, *RANGE, "--json").json
                        for name in ("scan1.fil", data / "scan1.fil"))
    assert by_name["hits"] == by_path["hits"] != []
    assert by_name["query"]["f_start_mhz"] == 8419.46

    other = archive(tmp_path / "elsewhere", 4) / "scan3.h5"  # not in the corpus
    assert len(lookalike("search", "--corpus", corpus, "--file", other, *RANGE, "--json").json["hits"]) == 10

    odd = Path(shutil.copy(data / "scan1.fil", tmp_path / "odd.fil"))
    rename_keyword(odd, "rawdatafile", "rawdatafila")
    by_odd = lookalike("search", "--corpus", corpus, "--file", odd, *RANGE, "--json").json
    assert by_odd["hits"] == by_name["hits"]
    assert "unknown keywords of its header are stepped over: rawdatafila (" in by_odd["query"]["note"]

    np.save(tmp_path / "power.npy", noisy_power(9)[:, 5000:5256])
    monkeypatch.chdir(tmp_path)
    ran = lookalike("search", "--corpus", corpus, "--npy", "power.npy", "--json")
    assert ran.json["query"]["shape"] == [16, 256]
    assert len(ran.json["hits"]) == 10


def test_both_scores_are_told_of_hits_that_were_compared_again(lookalike: Lookalike, corpus: Path, kept: str) -> None:
    asked = ("search", "--corpus", corpus, "--window", kept, "-k", "5", "--rerank", "--rerank-mirror")
    answer, as_csv, as_table = (lookalike(*asked, *form) for form in (["--json"], ["--csv"], []))
    hits = answer.json["hits"]
    assert answer.json == open_corpus(corpus).search(
        window=kept, k=5, rerank=True, rerank_mirror=True, one_shot=True).to_json()
    both = [(1 - WEIGHT) * one["score"] + WEIGHT * one["correlation"] for one in hits]
    assert both == sorted(both, reverse=True)
    rows = csv.DictReader(io.StringIO(as_csv.out, newline=""))
    told = ("correlation", "shift_hz", "shift_s", "extra_drift_hz_per_s", "mirrored")
    assert [tuple(row[name] for name in told) for row in rows] == [
        tuple(str(one[name]) for name in told) for one in hits]
    order, head, *lines, _ = as_table.out.splitlines()[2:]
    assert order == f"ordered by reranked: {1 - WEIGHT:g} × score + {WEIGHT:g} × correlation"
    assert head.split()[:4] == ["score", "expected", "correlation", "reranked"]
    for line, one in zip(lines, hits, strict=True):
        rank, score, _, correlation, reranked = line.split()[:5]
        assert (rank, score, correlation, reranked) == (str(one["rank"]), *(
            f"{one[name]:.3f}" for name in ("score", "correlation", "reranked")))


def test_filters_and_limits_are_those_of_the_python_api(lookalike: Lookalike, corpus: Path, kept: str) -> None:
    middle = 8419.477113
    flags = ("--only-mhz", f"8419.46:{middle}", "--not-mhz", ":1300",
             "--only-file", "scan0.h5", "--only-file", "GBT_57436_43800_H*", "--not-file", "*.fil",
             "--only-target", "hip*", "--only-telescope", "gbt", "--after", "2016-02-18T00:00", "--before", "60000",
             "--per-file", "3", "--per-mhz", "5")
    filters = Filters(only_mhz=((8419.46, middle),), not_mhz=((-np.inf, 1300.0),),
                      only_file=("scan0.h5", "GBT_57436_43800_H*"), not_file=("*.fil",), only_target=("hip*",),
                      only_telescope=("gbt",), after_mjd=57436.0, before_mjd=60000.0)
    ran = lookalike("search", "--corpus", corpus, "--window", kept, *flags, "--json")
    expected = open_corpus(corpus).search(window=kept, filters=filters, per_file=3, per_mhz=5, one_shot=True)
    assert ran.json == expected.to_json()
    assert len(expected) == 5
    assert ran.json["query"]["filters"]["only_mhz"] == [[8419.46, middle]]
    assert ran.json["query"]["filters"]["not_mhz"] == [[None, 1300.0]]
    assert {Path(hit["file"]).name for hit in ran.json["hits"]} == {"scan0.h5", "scan2.h5"}


def test_where_all_there_is_overlaps_the_query_that_is_said(
    lookalike: Lookalike, corpus: Path, kept: str
) -> None:
    source, _ = kept.split("/")
    asked = ("search", "--corpus", corpus, "--file", source, "--f-start", "8419.455", "--f-stop", "8419.499",
             "--only-file", source)
    ran = lookalike(*asked)
    assert ran.out.startswith("0 hits among ")
    assert ran.err == f"note: {lookalike(*asked, '--json').json['query']['note']}\n"
    assert "signals searched, all overlap the query and are left out" in ran.err


@pytest.mark.parametrize("form", [[], ["--json"], ["--csv"]])
def test_a_picture_is_drawn(lookalike: Lookalike, corpus: Path, kept: str, tmp_path: Path, form: list[str]) -> None:
    picture = tmp_path / os.fsdecode(b"hits \xff.png")
    without = lookalike("search", "--corpus", corpus, "--window", kept, "-k", "2", *form)
    ran = lookalike("search", "--corpus", corpus, "--window", kept, "-k", "2", "--plot", picture, *form)
    assert (ran.code, ran.out) == (0, without.out)
    assert ran.err == f"picture: {tmp_path}/hits \\xff.png\n"
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_names_survive(lookalike: Lookalike, data: Path, tmp_path: Path) -> None:
    names = [b"with space.h5", b"new\nline.fil", b"raw\xff \xc3\xbc.h5"]
    for name, scan in zip(names, sorted(data.iterdir()), strict=True):
        shutil.copy(scan, tmp_path / os.fsdecode(name))
    root = tmp_path / "corpus"
    assert lookalike("ingest", tmp_path, "--corpus", root, "--serial", "--coarse-width", "4096",
                     "--encoder", "power-spectrum").code == 0
    paths = {os.fsencode(tmp_path) + b"/" + name for name in names}
    for name in names:
        asked = ("search", "--corpus", root, "--file", os.fsdecode(name), *RANGE, "-k", "99")
        ran = lookalike(*asked, "--json")
        assert os.fsencode(ran.json["query"]["file"]) == os.fsencode(tmp_path) + b"/" + name
        assert {os.fsencode(one["file"]) for one in ran.json["hits"]} == paths
        rows = csv.DictReader(io.StringIO(lookalike(*asked, "--csv").out, newline=""))
        spelled = {os.fsdecode(path).encode("utf-8", "backslashreplace").decode() for path in paths}
        assert {row["file"] for row in rows} == spelled
        assert len(lookalike(*asked).out.splitlines()) == 4 + len(ran.json["hits"])


# --- questions that have none --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("arguments", "words"), [
    ([], "one of --file, --window, --npy, --signal and --vector"),
    (["--window", "a/1", "--npy", "x.npy"], "one of --file, --window, --npy, --signal and --vector"),
    (["--window", "a/1", "--file", "x.h5", *RANGE], "one of --file, --window, --npy, --signal and --vector"),
    (["--file", "x.h5"], "--file needs --f-start and --f-stop"),
    (["--file", "x.h5", "--f-start", "1"], "--file needs --f-start and --f-stop"),
    (["--file", "x.h5", "--f-stop", "1"], "--file needs --f-start and --f-stop"),
    (["--window", "a/1", "--f-stop", "1"], "--f-start and --f-stop go with --file"),
    (["--npy", "x.npy", *RANGE], "--f-start and --f-stop go with --file"),
    (RANGE, "one of --file, --window, --npy, --signal and --vector"),
    (["--window", "a/1", "--json", "--csv"], "choose one of --json and --csv"),
    (["--window", "a/1", "--only-mhz", "1420"], "'1420' is no range in MHz: give LOW:HIGH, such as 1420:1421"),
    (["--window", "a/1", "--not-mhz", "1421:1420"], "'1421:1420' is no range in MHz"),
    (["--window", "a/1", "--only-mhz", "a:b"], "'a:b' is no range in MHz"),
    (["--window", "a/1", "--after", "yesterday"], "'yesterday' is no date: give one such as 2016-02-18"),
    (["--window", "a/1", "--per-mhz", "0"], "--per-mhz"),
    (["--window", "a/1", "--rerank-drift"], "--rerank-drift and --rerank-mirror go with --rerank"),
])
def test_contradictions_show_the_usage(lookalike: Lookalike, arguments: list[str], words: str) -> None:
    lookalike("search", *arguments).assert_misused("Error: ", words)


@pytest.mark.parametrize(("arguments", "words"), [
    (["--file", "gone.h5", *RANGE], ["gone.h5: no such file", "GBT_57436_43200_HIP77257_"]),
    (["--file", "scan1.fil", "--f-start", "1400", "--f-stop", "1401"],
     ["1400.0–1401.0 MHz is not within the band of ", "scan1.fil: 8419.454225–8419.500001 MHz"]),
    (["--file", "scan1.fil", "--f-start", "8419.48", "--f-stop", "8419.47"], ["give the lower frequency first"]),
    (["--file", "scan1.fil", "--f-start", "nan", "--f-stop", "nan"], ["nan–nan MHz is no range"]),
    (["--file", "notes.txt", *RANGE], ["notes.txt: ", "NOT_FILTERBANK"]),
    (["--window", "scan1.fil/64"], ["scan1.fil/64: ", "has 64 windows, numbered from 0"]),
    (["--window", "scan1.fil"], ["'scan1.fil' names no window: give SOURCE/NUMBER"]),
    (["--window", "scan1.fil/-1"], ["'scan1.fil/-1' names no window"]),
    (["--window", "GBT/1"], ["GBT: could be any of GBT_57436_43200", "give more of its id"]),
    (["--window", "scan1.fil/1", "--encoder", "resnet50"], ["no vectors of encoder resnet50, but of power-spectrum"]),
    (["--window", "scan1.fil/1", "--encoder", "typo"],
     ["no vectors of encoder typo, but of power-spectrum", "no encoder is named typo; vectors of spectral, power-"]),
    (["--window", "scan1.fil/1", "--only-file", "typo"], ["--only-file typo: no source has this", "GBT_57436_43200_"]),
    (["--window", "scan1.fil/1", "--after", "2018-01-01"], ["--after MJD 58119.0: nothing was observed then"]),
    (["--window", "scan1.fil/1", "--plot", "no/such/folder.png"], ["no/such/folder.png: cannot be written"]),
    (["--window", "scan1.fil/1", "--plot", "hits.txt"], ["hits.txt: cannot write a .txt; use one of", "png"]),
])
def test_what_is_not_there_is_named(
    lookalike: Lookalike, corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    arguments: list[str], words: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("none")
    lookalike("search", "--corpus", corpus, *arguments).assert_refused(2, *words)


def write_npy(path: Path) -> None:
    np.save(path, np.ones((16, 256), np.float32))


@pytest.mark.parametrize(("write", "words"), [
    (lambda path: None, ["cannot be read (No such file or directory)"]),
    (lambda path: path.mkdir(), ["cannot be read (Is a directory)"]),
    (lambda path: path.touch(), ["not an array as numpy.save writes it"]),
    (lambda path: path.write_text("1 2 3\n4 5 6\n"), ["not an array as numpy.save writes it"]),
    (lambda path: np.save(path, np.array([{}, 1], object)), ["not an array", "allow_pickle=False"]),
    (lambda path: (write_npy(path), os.truncate(path, 500)), ["not an array", "could only read"]),
    (lambda path: path.write_bytes(b"\x93NUMPY\x01\x00\x10\x00{{{'descr': '<f4\n"), ["not an array"]),
    (lambda path: path.write_bytes(b"PK\x03\x04zip and so on"), ["not an array"]),
], ids=["missing", "folder", "empty", "text", "pickle", "cut", "header", "npz"])
def test_what_is_no_array_is_refused(
    lookalike: Lookalike, corpus: Path, tmp_path: Path, write: object, words: list[str]
) -> None:
    path = tmp_path / "power.npy"
    write(path)  # type: ignore[operator]
    lookalike("search", "--corpus", corpus, "--npy", path).assert_refused(2, str(path), *words)


@pytest.mark.parametrize(("array", "words"), [
    (np.ones(5), "shape (5,)"), (np.ones((2, 2), complex), "complex128"), (np.ones((0, 256)), "above zero"),
    (np.full((16, 256), -3.0), "give linear power, not dB"), (np.full((16, 256), np.nan), "above zero"),
    (np.ones((16, 256)), "nothing to search for"),
])
def test_an_array_that_shows_nothing_is_refused(
    lookalike: Lookalike, corpus: Path, tmp_path: Path, array: np.ndarray, words: str
) -> None:
    np.save(tmp_path / "power.npy", array)
    lookalike("search", "--corpus", corpus, "--npy", tmp_path / "power.npy").assert_refused(2, words)
