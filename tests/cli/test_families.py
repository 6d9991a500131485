"""``lookalike families``: the list, one family, and options that do not fit."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from tests.cli.conftest import Lookalike
from tests.search.conftest import Made
from tests.search.test_families import EACH, KINDS, add


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = Made(tmp_path_factory.mktemp("families") / "corpus")
    for night in range(2):
        add(made, night)
    return made.root


def test_the_list_then_one_family(lookalike: Lookalike, root: Path, tmp_path: Path) -> None:
    def run(*arguments: str | Path) -> str:
        ran = lookalike("families", *arguments, "--corpus", root)
        assert ran.code == 0, ran.err
        return ran.out

    text = run()
    assert f"{KINDS} families; 24 windows in none" in text
    record = json.loads(run("--no-update", "--json"))
    assert [one["windows"] for one in record["families"]] == [2 * EACH] * KINDS
    rows = list(csv.DictReader(io.StringIO(run("--csv"))))
    assert [row["id"] for row in rows] == [one["id"] for one in record["families"]]
    shown = run("F2", "-k", "3", "--name", "clock", "--label", "ours", "--plot", tmp_path / "F2.png")
    assert "F2  “clock”  [ours]: 20 windows in 2 scans" in shown
    assert "and 17 more" in shown
    assert (tmp_path / "F2.png").read_bytes().startswith(b"\x89PNG")
    assert len(list(csv.DictReader(io.StringIO(run("clock", "--csv"))))) == 2 * EACH
    assert json.loads(run("clock", "--json"))["spacing"]["scans"] == 2


@pytest.mark.parametrize(("arguments", "said"), [
    (["--json", "--csv"], "choose one of --json and --csv"),
    (["--again", "--no-update"], "choose one of --again and --no-update"),
    (["--name", "clock"], "need a FAMILY"),
    (["F1", "--again"], "without FAMILY"),
])
def test_options_that_do_not_fit(lookalike: Lookalike, arguments: list[str], said: str) -> None:
    ran = lookalike("families", *arguments)
    assert ran.code == 2
    assert said in ran.err
