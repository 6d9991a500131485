"""``lookalike embed``: flags, summary, dry run, progress."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

import pipeline.run
from pipeline.config import Config, RunConfig
from pipeline.errors import Reason
from pipeline.model import SourceReport, Timing
from pipeline.run import RunReport
from pipeline.support import progress_line as progress
from tests.cli.conftest import Lookalike
from tests.run import fake

FAKE = "fake-v1-e3b0c442"


@pytest.fixture(autouse=True)
def _fake_encoders(monkeypatch: pytest.MonkeyPatch) -> None:
    fake.register(monkeypatch.setattr)


@pytest.fixture
def root(corpus: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(corpus, tmp_path / "corpus"))


def test_a_second_encoder_from_the_stored_windows_to_hits(lookalike: Lookalike, root: Path, kept: str) -> None:
    ran = lookalike("embed", "--corpus", root, "--encoder", "fake", "--serial")
    assert (ran.code, ran.err) == (0, "")
    first, speed, seconds = ran.out.splitlines()
    assert first == f"3 sources, {FAKE}: 3 done, 0 skipped, 0 failed, 0 busy"
    assert " windows embedded in " in speed
    assert seconds.startswith("seconds in tasks: embed ")
    again = lookalike("embed", "--corpus", root, "--encoder", "fake")  # and starts no cluster for it
    assert (again.code, again.out) == (0, f"3 sources, {FAKE}: 0 done, 3 skipped, 0 failed, 0 busy\n")

    status = lookalike("status", "--corpus", root).out
    vectors = [line.split() for line in status.splitlines() if line.startswith("vectors")]
    assert [words[3:] for words in vectors] == [
        [FAKE], ["power-spectrum-v1,", "the", "default", "of", "searches"]]
    assert vectors[0][1] == vectors[1][1] == speed.split()[0]
    for name, key in (("fake", FAKE), (FAKE, FAKE), ("power-spectrum", "power-spectrum-v1")):
        asked = ("search", "--corpus", root, "--window", kept, "--encoder", name, "--json")
        assert lookalike(*asked).json["query"]["encoder"] == key
    lookalike("search", "--corpus", root, "--window", kept, "--encoder", "spectral").assert_refused(
        2, f"no vectors of encoder spectral, but of {FAKE}, power-spectrum-v1", "lookalike embed --encoder spectral")


def test_a_dry_run_tells_what_would_be_done(lookalike: Lookalike, root: Path, data: Path) -> None:
    ran = lookalike("embed", "--corpus", root, "--encoder", "fake", "--dry-run")
    assert ran.out.splitlines() == [
        f"3 sources, {FAKE}: 3 would be embedded; nothing was written",
        *(f"would be embedded       {data / name}" for name in ("scan0.h5", "scan1.fil", "scan2.h5"))]
    ran = lookalike("embed", "--corpus", root, "--dry-run")
    assert ran.out.splitlines()[0] == (
        "3 sources, power-spectrum-v1: 3 already embedded; nothing was written")


def test_json_is_one_object_and_all_there_is(
    lookalike: Lookalike, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "LINE_INTERVAL_S", 0.0)
    ran = lookalike("embed", "--corpus", root, "--encoder", "fake", "--serial", "--json")
    record = ran.json
    assert (ran.code, record["encoder"], record["dry_run"]) == (0, FAKE, False)
    assert record["windows_embedded"] == sum(source["windows_embedded"] for source in record["sources"]) > 0
    assert ran.err.splitlines()[0] == "embed: 0/3 sources, 0 windows/s"
    assert ran.err.splitlines()[-1].startswith("embed: 3/3 sources, 0 s left, ")


def test_numbers_of_the_summary_add_up(lookalike: Lookalike, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    done = SourceReport("a.h5", "done", "A", windows_embedded=20_000, timing=Timing(embed_s=3.0, write_s=4.0))
    bad = SourceReport("b.h5", "failed", "B", Reason.DAMAGED, "b.h5: sources/B is altered")
    report = RunReport((done, done, bad), 100.0, 7, encoder="spectral-v1")
    monkeypatch.setattr(pipeline.run, "embed", lambda *_, **__: report)
    ran = lookalike("embed", "--corpus", tmp_path)
    assert ran.code == 3
    assert ran.out.splitlines() == [
        "3 sources, spectral-v1: 2 done, 0 skipped, 1 failed (1 DAMAGED), 0 busy",
        "40,000 windows embedded in 1 min 40 s: 400 windows/s",
        "seconds in tasks: embed 6.0, write 8.0",
        "failed  DAMAGED              b.h5: sources/B is altered",
    ]


def test_every_flag_arrives(lookalike: Lookalike, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[dict[str, Any]] = []

    def embed(corpus: Path, **named: Any) -> RunReport:
        calls.append({"corpus": corpus, **named})
        return RunReport((), 0.0, 0)

    monkeypatch.setattr(pipeline.run, "embed", embed)
    monkeypatch.chdir(tmp_path)
    lookalike("embed")
    lookalike("embed", "--corpus", "c", "--encoder", "resnet50", "--weights", "w.h5", "--workers", "3", "--embed-on",
              "gpu", "--dry-run", "--precision", "bfloat16")
    lookalike("embed", "--scheduler", "tcp://head:8786")
    lookalike("embed", "--serial")
    assert all(isinstance(call.pop("progress"), progress.Show) for call in calls)
    plain = {"corpus": Path("corpus"), "encoder": None, "weights": "", "precision": None, "config": Config(),
             "dry_run": False}
    assert calls == [
        plain,
        {"corpus": Path("c"), "encoder": "resnet50", "weights": Path("w.h5"), "precision": "bfloat16",
         "dry_run": True, "config": Config(run=RunConfig(workers=3, embed_on="gpu"))},
        {**plain, "config": Config(run=RunConfig(scheduler="tcp://head:8786"))},
        {**plain, "config": Config(run=RunConfig(serial=True))},
    ]


@pytest.mark.parametrize("arguments", [["--serial", "--workers", "2"], ["--workers", "2", "--scheduler", "tcp://a:1"]])
def test_contradictions_are_refused(lookalike: Lookalike, arguments: list[str]) -> None:
    lookalike("embed", *arguments).assert_misused("Error: choose one of", arguments[0], arguments[-2])
