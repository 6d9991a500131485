"""The frame of ``make soak``: its tests exist, its table adds up, and a soak that was stopped goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import soak


@pytest.mark.parametrize("test", soak.TESTS)
def test_the_tests_of_a_soak_exist(test: str) -> None:
    path, _, function = test.partition("::")
    text = (soak.REPOSITORY / path).read_text()
    assert f"def {function or 'test_'}" in text


def test_shards_are_one_row() -> None:
    rows = soak.table([{"what": "a", "times": 2, "slowest_s": 3.2}, {"what": "b", "times": 5, "survived": 4},
                       {"what": "a", "times": 4, "slowest_s": 1.0}]).splitlines()
    assert rows[2:] == ["| a | 6 | 6 | 3 |", "| b | 5 | 4 |  |"]


def test_what_has_passed_is_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def run(test: str, settings: dict[str, Any]) -> dict[str, Any]:
        ran.append(test)
        return {**settings, "test": test, "passed": test != "two" or len(ran) > 3, "minutes": 1.0,
                "notes": [{"what": test, "times": 1}]}

    monkeypatch.setattr(soak, "collected", lambda only: ["one", "two", "three"])
    monkeypatch.setattr(soak, "run", run)
    monkeypatch.setattr(soak, "commit", lambda: "abc")
    for name in (soak.SWITCH, soak.DAMAGED):
        monkeypatch.setenv(name, "1")  # restored afterwards
    out = ["--out", str(tmp_path / "soak")]
    assert soak.main(out) == 1
    assert "1 FAILED: two; 0 not run yet" in (tmp_path / "soak.md").read_text()
    assert soak.main(out) == 0
    assert ran == ["one", "two", "three", "two"]
    assert "all passed" in (tmp_path / "soak.md").read_text()
    monkeypatch.setattr(soak, "commit", lambda: "def")
    assert soak.main(out) == 0
    assert ran[4:] == ["one", "two", "three"], "what passed with other code counts no more"
    assert [json.loads(line)["commit"] for line in (tmp_path / "soak.jsonl").read_text().splitlines()] == ["def"] * 3
