"""The limit holds while any thread needs it, and is gone afterwards."""

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


def test_the_limit_stays_until_the_last_thread_is_out() -> None:
    """The first thread that came leaves before the second: the second then keeps the limit."""
    before, inside, leave = threads(), threading.Event(), threading.Event()

    def work() -> None:
        with blas_on_one_core():
            inside.set()
            leave.wait(20)

    with blas_on_one_core():
        second = threading.Thread(target=work)
        second.start()
        inside.wait(20)
    assert threads() == {1}
    leave.set()
    second.join(20)
    assert threads() == before


def test_the_limit_is_gone_after_an_error() -> None:
    before = threads()
    with pytest.raises(ZeroDivisionError), blas_on_one_core():
        raise ZeroDivisionError
    assert threads() == before
