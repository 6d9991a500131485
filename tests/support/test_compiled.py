"""Functions are compiled when they are used, and once for all numbers of a type."""

from __future__ import annotations

import pickle
import threading
from typing import Any

import numba
import numpy as np
import pytest

from pipeline.support.compiled import compiled_when_used, njit

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
