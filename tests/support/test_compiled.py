"""What is known about compiled code: whether the cache holds it, and how far compilation is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from pipeline.support.compiled import njit, watching_compilation

MODULE = """
from pipeline.support.compiled import njit

@njit(cache=True)
def one_more(number):
    return number + 1
"""
ASK = "import small; from pipeline.support.compiled import is_compiled; print(is_compiled(small.one_more))"
CALL = f"{ASK}; small.one_more(1); print(is_compiled(small.one_more))"


def ran(folder: Path, script: str, **variables: str) -> list[str]:
    (folder / "small.py").write_text(MODULE)
    os.utime(folder / "small.py", (1e9, 1e9))  # the cache is of a source of this time
    (folder / "cache").mkdir(exist_ok=True, mode=0o700)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env={
        **os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(Path(__file__).parents[2])]),
        "NUMBA_CACHE_DIR": str(folder / "cache"), "PYTHONDONTWRITEBYTECODE": "1", **variables})
    return done.stdout.split()


def test_a_function_is_compiled_once_the_cache_or_the_process_has_it(tmp_path: Path) -> None:
    assert ran(tmp_path, CALL) == ["False", "True"]
    assert ran(tmp_path, ASK) == ["True"]
    assert ran(tmp_path, ASK, NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="") == ["False"], "another processor"
    os.chmod(tmp_path / "cache", 0o777)  # so it is not read
    assert ran(tmp_path, CALL, XDG_CACHE_HOME=str(tmp_path / "xdg"), HOME=str(tmp_path)) == ["False", "True"]


def test_each_function_is_counted_as_it_is_compiled() -> None:
    @njit  # type: ignore[untyped-decorator]
    def inner(number: float) -> float:
        return number + 1

    @njit  # type: ignore[untyped-decorator]
    def outer(number: float) -> float:
        return inner(number)

    seen: list[int] = []
    with watching_compilation(seen.append):
        assert outer(1) == 2
        assert seen == [1, 2]
        assert outer(2) == 3
    assert seen == [1, 2], "it is compiled already"
    outer(1.5)
    assert seen == [1, 2], "nobody watches any more"
