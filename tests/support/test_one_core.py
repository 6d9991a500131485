"""The limit holds while a thread needs it, and is gone afterwards."""

import threading

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController

from pipeline.support.one_core import blas_on_one_core


def threads() -> set[int]:
    """Return the number of threads of each BLAS of this process."""
    np.ones((2, 2)) @ np.ones((2, 2))
    return {one["num_threads"] for one in ThreadpoolController().select(user_api="blas").info()}


def test_blas_has_one_thread_within_and_as_many_as_before_afterwards() -> None:
    before = threads()
    with blas_on_one_core():
        assert threads() == {1}
        with blas_on_one_core():
            assert threads() == {1}
        assert threads() == {1}
    assert threads() == before


def test_threads_that_want_it_at_the_same_time_all_have_it_and_leave_nothing_behind() -> None:
    before, found, together = threads(), [], threading.Barrier(4)

    def work() -> None:
        together.wait(20)
        with blas_on_one_core():
            found.append(threads())

    workers = [threading.Thread(target=work) for _ in range(4)]
    for one in workers:
        one.start()
    for one in workers:
        one.join(20)
    assert found == [{1}] * 4
    assert threads() == before


def test_the_limit_is_gone_after_an_error() -> None:
    before = threads()
    with pytest.raises(ZeroDivisionError), blas_on_one_core():
        raise ZeroDivisionError
    assert threads() == before
