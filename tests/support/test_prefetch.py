from __future__ import annotations

import threading

import numpy as np
import pytest

from pipeline.support.prefetch import prefetch


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_items_come_in_order(depth: int) -> None:
    assert [int(batch[0]) for batch in prefetch(lambda step: np.array([step]), 7, depth)] == list(range(7))
    assert list(prefetch(lambda step: np.array([step]), 0, depth)) == []


@pytest.mark.parametrize("depth", [1, 2])
def test_exactly_depth_items_are_made_in_advance(depth: int) -> None:
    made = [threading.Event() for _ in range(6)]

    def make(i: int) -> int:
        made[i].set()
        return i

    for i in prefetch(make, 6, depth):
        last = min(i + depth, 5)
        assert made[last].wait(30)  # made while i is in use
        assert not any(event.is_set() for event in made[last + 1 :])


def test_an_error_is_raised_when_its_item_is_due() -> None:
    def make(i: int) -> int:
        return 1 // (2 - i)

    given = prefetch(make, 5)
    assert (next(given), next(given)) == (0, 1)
    with pytest.raises(ZeroDivisionError):
        next(given)
