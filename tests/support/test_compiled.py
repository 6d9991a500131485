"""Functions are compiled when they are used, once for all numbers of a type, and it is known how far compilation is."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

from pipeline.support.compiled import compiled_when_used, njit, watching_compilation
from pipeline.support.private_paths import user_cache

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


@pytest.mark.parametrize("named", ["", "relative/cache"])
def test_a_cache_without_an_absolute_path_is_in_the_home_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", named)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_cache() == tmp_path / ".cache" / "lookalike"


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


with compiled_when_used():

    @numba.njit(["int64(int64)", "float64(float64)"])
    def twice(number: Any) -> Any:
        return 2 * number

    @numba.njit("int64(int64)")
    def factorial(number: Any) -> Any:
        return number * factorial(number - 1) if number > 1 else 1


@numba.njit(["int64(int64)", "float64(float64)"])
def usual(number: Any) -> Any:
    return 2 * number


def defined() -> Any:
    with compiled_when_used():
        return numba.njit(["int64(int64)", "float64(float64)"])(usual.py_func)


def test_listed_signatures_are_compiled_by_the_first_call_and_no_others_ever() -> None:
    given = defined()
    assert given.signatures == []
    for value in (3, 1.5, True, np.float32(0.5), 1j, "text"):
        try:
            wanted = usual(value)
        except TypeError as error:
            with pytest.raises(TypeError, match=str(error).splitlines()[0].partition("(")[0]):
                given(value)
        else:
            assert given(value) == wanted
            assert type(given(value)) is type(wanted)
    assert given.signatures == usual.signatures


def test_or_by_compiled_code_that_calls_them() -> None:
    given = defined()

    @njit
    def four_times(number: Any) -> Any:
        return given(given(number))

    assert four_times(3) == 12
    assert given.signatures == usual.signatures


def test_a_function_may_call_itself() -> None:
    assert factorial(10) == 3_628_800


def test_threads_wait_for_one_another() -> None:
    given, results = defined(), []
    threads = [threading.Thread(target=lambda: results.append(given(4))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [8] * 8
    assert given.signatures == usual.signatures


def test_a_pickled_function_is_compiled_when_used_too() -> None:
    assert pickle.loads(pickle.dumps(twice))(2.5) == 5.0


def test_a_literal_number_needs_no_code_of_its_own() -> None:
    @njit
    def inner(number: Any, add: Any) -> Any:
        return number + add

    @njit
    def outer(number: Any) -> Any:
        return inner(number, 1) + inner(0, 2) + inner(number, add=number)

    assert outer(10) == 11 + 2 + 20
    assert len(inner.signatures) == 1


def test_what_others_compile_is_compiled_at_once_as_before() -> None:
    assert type(numba.njit("int64(int64)")(usual.py_func)) is type(usual)
    assert type(njit(usual.py_func)) is not type(usual)
