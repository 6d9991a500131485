"""``lookalike warm-up``. The tests do not compile the graph code, which takes long; `make setup` does."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import pipeline.cli.warm_up
import pipeline.index
from pipeline.support import compiled
from pipeline.support.compiled import njit
from tests.cli.conftest import Lookalike, environment

module: Any = sys.modules["pipeline.cli.warm_up"]  # the package has a command of that name


def test_what_a_run_compiles_is_compiled(lookalike: Lookalike, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[tuple[Path, int, int]] = []

    def build_segment(folder: Path, vectors: Any, *_: Any) -> Any:
        assert folder.parent.is_dir()
        return SimpleNamespace(search=lambda queries, k: built.append((folder, len(queries), k)))

    monkeypatch.setattr(pipeline.index, "build_segment", build_segment)
    ran = lookalike("warm-up")
    assert ran.code == 0
    assert [line.split()[0] for line in ran.err.splitlines()] == [f"[{step}/5]" for step in range(1, 6)]
    assert re.fullmatch(r"(compiled [\d,]+ functions? in .* s; later runs find them|nothing to compile: .*)\n", ran.out)
    ((folder, queries, k),) = built
    assert (queries, k) == (1, 10)
    assert not folder.parent.exists()  # nothing is left behind


def test_a_long_step_shows_signs_of_life(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [1000.0]

    @contextmanager
    def watched(tell: Callable[[int], None]) -> Iterator[None]:
        for count, clock[0] in enumerate((1004.0, 1011.0, 1020.0, 1085.0), start=1):
            tell(count)
        yield

    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr("pipeline.support.compiled.watching_compilation", watched)
    with module._step(4, "the graph"):
        pass
    assert capsys.readouterr().err.splitlines() == [
        "[4/5] the graph …", "[4/5] … 2 functions in 11 s", "[4/5] … 4 functions in 1 min 25 s"]


def test_the_last_line_says_whether_later_runs_find_the_code(
    lookalike: Lookalike, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build_segment(*_: Any) -> Any:
        for add in (1, 2, 3):
            njit(lambda number, add=add: number + add)(1)
        return SimpleNamespace(search=lambda *_: None)

    monkeypatch.setattr(pipeline.index, "build_segment", build_segment)
    lookalike("warm-up")
    assert re.fullmatch(r"compiled 3 functions in \d+ s; later runs find them\n", lookalike("warm-up").out)
    monkeypatch.setattr(compiled, "cache_folder", lambda: "")
    assert "3 functions" in (said := lookalike("warm-up").out)
    assert "no folder can keep them: `lookalike doctor`" in said
    monkeypatch.setattr(compiled, "cache_folder", lambda: "/cache")
    monkeypatch.setattr(pipeline.index, "build_segment", lambda *_: SimpleNamespace(search=lambda *_: None))
    assert lookalike("warm-up").out.startswith("nothing to compile")


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
import pipeline.scan.overview_sums
from pipeline.cli.warm_up import warm_up
from pipeline.config import ScanConfig
from pipeline.filterbank import open_filterbank
from pipeline.overview import OverviewLayout, cells_of_channels
from pipeline.scan import scan, tiling_of
from pipeline.simulate import fine_header, scatter, simulate_file

modules = (pipeline.flatten.time_mean, pipeline.flatten.bandpass, pipeline.flatten.coarse_channel,
           pipeline.flatten.flattened, pipeline.gate.box_sums, pipeline.gate.box_tree, pipeline.gate.prefilter,
           pipeline.filterbank.bitshuffle, pipeline.scan.overview_sums)
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
        cells = cells_of_channels(OverviewLayout.of(tiling.header), 0, tiling.header.nchans)
        assert sum(len(one.windows["number"]) for one in scan(filterbank, tiling, range(2), config, cells)) > 0
assert {module for module, *_ in before} > {"pipeline.flatten.bandpass", "pipeline.gate.prefilter"}
assert compiled() == before, compiled() - before
"""


def test_nothing_is_left_to_be_compiled_by_the_first_scan(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(tmp_path / "scan")], capture_output=True, text=True,
                          check=False)
    assert done.returncode == 0, done.stderr
