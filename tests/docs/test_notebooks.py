"""The notebooks in ``examples`` run, and their output agrees with their text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.docs.conftest import ROOT, run

EXAMPLES = ROOT / "examples"
RUNNER = """
import json, sys, warnings
import matplotlib
matplotlib.use("Agg")
warnings.simplefilter("error", SyntaxWarning)
if __name__ == "__main__":
    space = {"__name__": "__main__"}
    for cell in json.loads(open(sys.argv[1], encoding="utf-8").read())["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), cell["id"], "exec"), space)
"""


def executed(name: str, tmp_path: Path) -> list[str]:
    """Run the code cells of a notebook in a fresh process; return the lines that they print."""
    runner = tmp_path / "run_cells.py"
    runner.write_text(RUNNER)
    return run(runner, EXAMPLES / name, cwd=EXAMPLES).splitlines()


def test_the_first_answer(tmp_path: Path) -> None:
    lines = executed("1_first_answer.ipynb", tmp_path)
    assert lines[0] == "18 sources, 18 windows seen, 9 kept"
    assert [line.split()[0] for line in lines[1:9]] == [str(rank) for rank in range(1, 9)]
    assert all("_ON_" in line for line in lines[1:9])
    assert lines[9:] == ["OFF scans among the hits: 0"]


def test_an_archive(tmp_path: Path) -> None:
    lines = executed("2_archive.ipynb", tmp_path)
    assert [line.split(",")[0] for line in lines[:3]] == [f"after night {i}: {i + 1} files" for i in range(3)]
    assert lines[3] == "segments: 2"  # a view is another resolution class
    hits = lines[4:10]
    assert [line.endswith("pulsed-comb") for line in hits] == [True] * 5 + [False]
    assert lines[10] == "not in the file of the query:"
    assert not any("night0.h5" in line for line in lines[11:14])
    assert lines[14] == "one hit a file:"
    assert sorted(line.split()[3] for line in lines[15:18]) == ["night0.h5", "night1.h5", "night2.h5"]
    assert lines[18] == "in a part of the band:"
    assert all(1530.049 < float(line.split()[1]) < 1530.12 for line in lines[19:22])
    assert sum(line.endswith("same kind") for line in lines[22:34]) >= 11
    assert lines[34:] == ["hits in night2.h5: 0"]


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.ipynb")), ids=lambda path: path.name)
def test_notebooks_are_committed_without_outputs(path: Path) -> None:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
