"""``lookalike warm-up``. The tests do not compile the graph code, which takes long; `make setup` does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import pipeline.index
from pipeline.cli import warm_up
from pipeline.support import compiled
from pipeline.support.compiled import njit
from tests.cli.conftest import Lookalike, environment, on_a_terminal


def test_what_a_run_compiles_is_compiled(lookalike: Lookalike, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[tuple[Path, int, int]] = []

    def build_segment(folder: Path, vectors: Any, *_: Any) -> Any:
        assert folder.parent.is_dir()
        return SimpleNamespace(search=lambda queries, k: built.append((folder, len(queries), k)))

    monkeypatch.setattr(pipeline.index, "build_segment", build_segment)
    lookalike("warm-up")
    ran = lookalike("warm-up")
    assert ran.code == 0
    lines = [line.split(": ") for line in ran.err.splitlines()]
    assert [line[0].split()[0] for line in lines] == [f"[{step}/4]" for step in (1, 1, 2, 2, 3, 3, 4, 4)]
    assert {line[1] for line in lines[1::2]} == {"compiled before"}
    assert re.fullmatch(r"nothing to compile: .* \(checked in \d+ s\)\n", ran.out)
    (folder, queries, k), _ = built
    assert (queries, k) == (1, 10)
    assert not folder.parent.exists()  # nothing is left behind


def test_what_is_compiled_is_counted_and_shown(lookalike: Lookalike, monkeypatch: pytest.MonkeyPatch) -> None:
    def build_segment(*_: Any) -> Any:
        for add in (1, 2, 3):
            njit(lambda number, add=add: number + add)(1)
        return SimpleNamespace(search=lambda *_: njit(lambda number: -number)(1))

    monkeypatch.setattr(pipeline.index, "build_segment", build_segment)
    monkeypatch.setattr(warm_up, "INTERVAL_S", 0)
    lookalike("warm-up")
    ran = lookalike("warm-up")
    lines = [line for line in ran.err.splitlines() if line[:5] in ("[3/4]", "[4/4]")]
    assert [re.sub(r" in \d+ s", "", line.partition(": ")[2]) for line in lines] == [
        "…", "1 function so far …", "2 functions so far …", "3 functions so far …", "3 functions compiled",
        "…", "1 function so far …", "1 function compiled"]
    assert re.fullmatch(r"compiled 4 functions in \d+ s; later runs find them\n", ran.out)
    monkeypatch.setattr(compiled, "cache_folder", lambda: "")
    assert "no folder can keep them: `lookalike doctor`" in lookalike("warm-up").out


def test_a_terminal_shows_one_line_for_each_step(monkeypatch: pytest.MonkeyPatch) -> None:
    def build_segment(*_: Any) -> Any:
        njit(lambda number: number + 1)(1)
        return SimpleNamespace(search=lambda *_: None)

    monkeypatch.setattr(pipeline.index, "build_segment", build_segment)
    shown = on_a_terminal(monkeypatch, warm_up.warm_up.callback)
    assert re.search(r"\r\x1b\[K\[3/4\] [^\n]*: …\r\x1b\[K\[3/4\] [^\n]*: 1 function so far …\r\x1b\[K", shown)
    assert shown.count("\n") == 4


@pytest.mark.slow
@pytest.mark.timeout(1200)  # the first time on a machine, it compiles for minutes
def test_the_second_warm_up_has_nothing_to_compile() -> None:
    for _ in range(2):
        done = subprocess.run([sys.executable, "-m", "pipeline", "warm-up"], capture_output=True, text=True,
                              env=environment(), check=False)
        assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("nothing to compile")


SCRIPT = """
import sys
from types import SimpleNamespace
import numpy as np
import pipeline.flatten.time_mean, pipeline.flatten.bandpass
import pipeline.flatten.coarse_channel, pipeline.flatten.flattened
import pipeline.gate.box_sums, pipeline.gate.box_tree, pipeline.gate.prefilter
import pipeline.filterbank.bitshuffle
import pipeline.index
from pipeline.cli.warm_up import warm_up
from pipeline.config import ScanConfig
from pipeline.filterbank import open_filterbank
from pipeline.scan import scan, tiling_of
from pipeline.simulate import fine_header, scatter, simulate_file

modules = (pipeline.flatten.time_mean, pipeline.flatten.bandpass, pipeline.flatten.coarse_channel,
           pipeline.flatten.flattened, pipeline.gate.box_sums, pipeline.gate.box_tree, pipeline.gate.prefilter,
           pipeline.filterbank.bitshuffle)
def compiled():
    return {(module.__name__, name, signature) for module in modules for name, one in vars(module).items()
            for signature in getattr(one, "signatures", ())}

pipeline.index.build_segment = lambda *_: SimpleNamespace(search=lambda *_: None)
warm_up.callback()
before = compiled()
config = ScanConfig(coarse_width=2**18)
for is_ascending in (False, True):
    path = f"{sys.argv[1]}-{is_ascending}.h5"
    header = fine_header(coarse_channels=2, coarse_width=2**18, source_name="OTHER", ascending=is_ascending)
    simulate_file(path, header, scatter(np.random.default_rng(1), header, count=9), coarse_width=2**18)
    with open_filterbank(path) as filterbank:
        tiling = tiling_of(filterbank, config)
        assert sum(len(one.windows["number"]) for one in scan(filterbank, tiling, range(2), config)) > 0
assert {"_mark_possible", "_measure_windows", "decode_chunks", "_average"} <= {name for _, name, _ in before}
assert compiled() == before, compiled() - before
"""


def test_nothing_is_left_to_be_compiled_by_the_first_scan(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path / "scan")], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr
