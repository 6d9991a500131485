"""``lookalike doctor``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline import run
from pipeline.cli.doctor import table
from pipeline.run import Check, Diagnosis
from tests.cli.conftest import Lookalike


def test_this_machine_is_examined(lookalike: Lookalike, corpus: Path, data: Path) -> None:
    ran = lookalike("doctor", "--corpus", corpus, "--data", data)
    assert (ran.code, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert "ok   plugins      here: bitshuffle-LZ4 files decode" in lines
    assert "ok   encoder      here: power-spectrum-v1" in lines
    assert f"ok   data         here: {data} is seen" in lines
    assert "ok   sample       here: a file of the data opens" in lines
    assert lines[-1].startswith("this machine: ")
    assert lines[-1].endswith(", 0 failed")
    assert not list((corpus / "staging").iterdir())


def test_what_is_not_seen_fails_with_what_to_do_and_json_says_the_same(lookalike: Lookalike, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    ran = lookalike("doctor", "--data", gone)
    assert ran.code == 1
    lines = ran.out.splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("fail data         here: FileNotFoundError"))
    assert lines[at + 1].strip().startswith("mount its file system there")
    assert "warn sample       here: not checked: no filterbank file is found in the data" in lines
    record = lookalike("doctor", "--data", gone, "--json")
    (fault,) = [check for check in record.json["checks"] if check["status"] == "fail"]
    assert (record.code, record.json["workers"], fault["name"], fault["where"]) == (1, 0, "data", "here")


def test_a_scheduler_that_does_not_answer_is_an_error(lookalike: Lookalike, monkeypatch: pytest.MonkeyPatch) -> None:
    really = run.doctor
    monkeypatch.setattr(run, "doctor", lambda corpus, data, place: really(
        corpus, data, place={**place, "resource_wait_s": 0.5}))
    ran = lookalike("doctor", "--scheduler", "tcp://127.0.0.1:1", "--insecure")
    ran.assert_refused(2, "no Dask scheduler answers at tcp://127.0.0.1:1")


def checks(count: int, **changes: Any) -> list[Check]:
    return [Check(**{"where": f"tcp://w{i}", "name": "clock", "status": "ok", "message": "as here", **changes})
            for i in range(count)]


def test_workers_that_say_the_same_are_told_of_once() -> None:
    slow = checks(5, status="warn", message="-9.0 s off", remedy="set it by NTP")
    found = Diagnosis((Check("here", "versions", "ok", "Python 3"), *checks(6), *slow), 6)
    assert table(found) == [
        "ok   versions     here: Python 3",
        "ok   clock        all 6 workers: as here",
        "warn clock        tcp://w0, tcp://w1, tcp://w2 and 2 more: -9.0 s off",
        "                  set it by NTP",
        "this machine and 6 workers: 7 ok, 5 to look at, 0 failed",
    ]
