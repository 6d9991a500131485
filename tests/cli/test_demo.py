"""``lookalike demo``: its output is true, and the commands that it shows give the same results."""

from __future__ import annotations

import math
import re
import shlex
from pathlib import Path

import numpy as np
import pytest

import pipeline.run
import pipeline.simulate
from pipeline.catalogue import SegmentEntry
from pipeline.cli.demo import FAMILY
from pipeline.config import Config, EncoderConfig, ScanConfig
from pipeline.run import ingest
from pipeline.simulate import FAMILIES, Truth, fine_header, scatter, simulate_file
from pipeline.support import progress_line
from tests.cli.conftest import Lookalike, Ran

WIDTH = 2**17


def small_archive(folder: Path) -> dict[Path, list[Truth]]:
    """Write two files of one narrow coarse channel each; return their signals."""
    folder.mkdir(parents=True)
    truth = {}
    for i in range(2):
        header = fine_header(coarse_width=WIDTH, source_name=f"DEMO{i}", second=1000 * i)
        placed = scatter(np.random.default_rng(i), header, count=4 * len(FAMILIES), coarse_width=WIDTH)
        path = folder / f"demo {i}.h5"
        truth[path] = simulate_file(path, header, placed, coarse_width=WIDTH, seed=i)
    return truth


def check(lookalike: Lookalike, ran: Ran, folder: Path, truth: dict[Path, list[Truth]]) -> None:
    """Compare the last lines of the demo with the truth, and its search with the command that it shows."""
    assert (ran.code, ran.err) == (0, "")
    *_, count, picture, seconds, _, _, serve = ran.out.splitlines()
    found = re.fullmatch(rf"The query is a {FAMILY} signal; (\d+) of its (\d+) hits are {FAMILY} signals\.", count)
    assert found is not None
    assert picture == f"Picture: {folder}/gallery.png"
    assert (folder / "gallery.png").read_bytes().startswith(b"\x89PNG")
    assert re.fullmatch(r"Done in .+\.", seconds)

    assert shlex.split(serve)[2:] == ["serve", "--corpus", f"{folder}/corpus"]
    commands = [line for line in ran.out.splitlines() if line.startswith("$ lookalike ") and line != serve]
    ingest, index, search = (shlex.split(line)[2:] for line in commands)
    assert [ingest[0], index[0], search[0]] == ["ingest", "index", "search"]
    assert lookalike(*ingest).out.startswith(f"{len(truth)} files: 0 done, {len(truth)} skipped, 0 failed")
    assert lookalike(*search).out in ran.out

    hits = lookalike(*search, "--json").json["hits"]
    there = {(str(path), one.placed.signal.name, one.f_start_mhz, one.f_stop_mhz)
             for path, placed in truth.items() for one in placed}
    right = [hit for hit in hits if any(
        path == hit["file"] and name == FAMILY and low < hit["f_stop_mhz"] and hit["f_start_mhz"] < high
        for path, name, low, high in there)]
    assert (len(right), len(hits)) == (int(found[1]), int(found[2]))


def test_the_demo_says_what_it_does(
    lookalike: Lookalike, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[dict[Path, list[Truth]]] = []

    def demo_corpus(folder: Path) -> dict[Path, list[Truth]]:
        made.append(small_archive(folder))
        return made[0]

    monkeypatch.setattr(pipeline.simulate, "demo_corpus", demo_corpus)
    monkeypatch.setattr(progress_line, "LINE_INTERVAL_S", math.inf)  # a slow machine would show progress
    built = (SegmentEntry("S1", "power-spectrum-v1", "", 1, ("A",)), SegmentEntry("S2", "", "", 1234, ("A", "B")))
    monkeypatch.setattr(pipeline.run, "index", lambda *_, **__: built)  # building a graph takes long
    # loading the default encoder takes long, too; the width is given, because one coarse channel does not show it
    config = Config(ScanConfig(coarse_width=WIDTH), EncoderConfig("power-spectrum"))
    monkeypatch.setattr(pipeline.run, "ingest", lambda *a, **k: ingest(*a, **{"config": config, **k}))
    ran = lookalike("demo", tmp_path / "my demo", "--serial")
    check(lookalike, ran, tmp_path / "my demo", made[0])
    assert "\nS1: 1 vector of 1 source\nS2: 1,234 vectors of 2 sources\n" in ran.out


def test_a_folder_that_cannot_be_written_is_named(lookalike: Lookalike, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    lookalike("demo", tmp_path / "file").assert_misused("is a file")
    ran = lookalike("demo", tmp_path / "file" / "demo")
    assert ran.code == 2
    assert f"{tmp_path}/file/demo/data: cannot be written (Not a directory)" in ran.err


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_whole_demo(lookalike: Lookalike, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[dict[Path, list[Truth]]] = []
    demo_corpus = pipeline.simulate.demo_corpus

    def remember(folder: Path) -> dict[Path, list[Truth]]:
        made.append(demo_corpus(folder))
        return made[0]

    monkeypatch.setattr(pipeline.simulate, "demo_corpus", remember)
    ran = lookalike("demo", tmp_path / "demo", "--serial")
    check(lookalike, ran, tmp_path / "demo", made[0])
    assert " vectors of 6 sources" in ran.out
    assert f"; 10 of its 10 hits are {FAMILY} signals." in ran.out
