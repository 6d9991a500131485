from __future__ import annotations

import threading

import numpy as np
import pytest

from pipeline.support.prefetch import ahead


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_batches_come_in_order_and_ahead_of_their_use(depth: int) -> None:
    assert [int(batch[0]) for batch in ahead(lambda step: np.array([step]), 7, depth)] == list(range(7))
    assert list(ahead(lambda step: np.array([step]), 0, depth)) == []


@pytest.mark.parametrize("depth", [1, 2])
def test_no_more_is_made_than_the_depth_and_no_less(depth: int) -> None:
    made = [threading.Event() for _ in range(6)]

    def make(i: int) -> int:
        made[i].set()
        return i

    for i in ahead(make, 6, depth):
        last = min(i + depth, 5)
        assert made[last].wait(30)  # it comes while i is used
        assert not any(event.is_set() for event in made[last + 1 :])


def test_what_cannot_be_made_is_an_error_where_it_is_asked_for() -> None:
    def make(i: int) -> int:
        return 1 // (2 - i)

    given = ahead(make, 5)
    assert (next(given), next(given)) == (0, 1)
    with pytest.raises(ZeroDivisionError):
        next(given)
