"""``search --on-off`` and ``lookalike cadences``, in a simulated cadence."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from pipeline.errors import ConfigError
from pipeline.search import Corpus, open_corpus
from pipeline.search.session_table import table_path
from tests.cli.conftest import Lookalike
from tests.search.cadence import TARGETS, make_cadence


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_cadence(tmp_path_factory.mktemp("cadence"))


@pytest.fixture(scope="module")
def corpus(root: Path) -> Corpus:
    return open_corpus(root)


def test_a_search_says_it_of_each_hit_and_finds_those_on_only(lookalike: Lookalike, root: Path, corpus: Corpus) -> None:
    source_id = sorted(corpus._corpus.manifest.sources)[0]
    window = f"{source_id}/44"
    told = lookalike("search", "--corpus", root, "--window", window, "-k", "30", "--on-off", "--json").json
    states = {one["on_off"] for one in told["hits"]}
    assert {"in OFF", "ON only", "no OFF"} <= states
    for one in told["hits"]:
        assert bool(one["in_off"]) == (one["on_off"] == "in OFF")
    only = lookalike("search", "--corpus", root, "--window", window, "-k", "30", "--on-only", "--json").json
    assert [(one["source"], one["window"]) for one in only["hits"]] == [
        (one["source"], one["window"]) for one in told["hits"] if one["on_off"] == "ON only"]
    assert [one["rank"] for one in only["hits"]] == list(range(1, len(only["hits"]) + 1))
    assert f"of the {len(told['hits'])} best hits are ON only" in only["query"]["note"]
    first = lookalike("search", "--corpus", root, "--window", window, "-k", "1", "--on-only", "--json").json
    assert first["hits"] == only["hits"][:1]
    table = lookalike("search", "--corpus", root, "--window", window, "-k", "30", "--on-off").out.splitlines()
    assert table[2].split()[:2] == ["score", "ON/OFF"]
    for line, one in zip(table[3:], told["hits"], strict=False):
        assert f" {one['on_off']} " in line
    plain = lookalike("search", "--corpus", root, "--window", window, "--json").json
    assert {one["on_off"] for one in plain["hits"]} == {None}


def test_a_users_table_decides(lookalike: Lookalike, root: Path) -> None:
    listed = lookalike("cadences", "--corpus", root)
    assert listed.out.splitlines()[0] == "2 sessions, 1 with more than one pointing"
    rows = list(csv.DictReader(io.StringIO(lookalike("cadences", "--corpus", root, "--csv").out)))
    assert [row["pointing"] for row in rows] == [*TARGETS, "A"]
    records = lookalike("cadences", "--corpus", root, "--json").json["sessions"]
    assert [scan["scan"] for session in records for scan in session["scans"]] == [row["scan"] for row in rows]
    path = table_path(root)
    try:
        path.write_text("scan,session,pointing,remark\n" + "".join(f"{row['scan']},one,same,x\n" for row in rows)
                        + "scan_of_another_corpus,one,same,\n")
        assert lookalike("cadences", "--corpus", root).out.splitlines()[0] == (
            "1 session, 0 with more than one pointing")
        path.write_text("")  # `lookalike cadences --csv > CORPUS-cadences.csv` empties the file before it is read
        assert lookalike("cadences", "--corpus", root).out == listed.out
        for text, fault in (("scan,session\n", "has no column 'pointing'"), ("a,b\n", "has no column 'scan'"),
                            ('scan,session,pointing\n"', "is no CSV (unexpected end of data)"),
                            ("scan,session,pointing\nGBT_,one,A\n", "line 2: 'GBT_' names 7 scans")):
            path.write_text(text)
            ran = lookalike("cadences", "--corpus", root)
            assert ran.code == 2
            assert str(path) in ran.err
            assert fault in ran.err
        path.write_bytes(b"\xff")
        with pytest.raises(ConfigError, match="is not UTF-8 text"):
            open_corpus(root).sessions()
    finally:
        path.unlink()
