"""Lanes do what numpy does, number by number."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from pipeline import lanes
from pipeline.lanes import COUNT, load, spread, store

WHOLE = np.random.default_rng(0).integers(-2000, 2000, (3, 200)).astype(np.int16)
FLOATING = np.random.default_rng(1).normal(0, 1000, (3, 200)).astype(np.float32)


def of_two(operation):
    @njit
    def run(a, b, out, at):
        store(out, at, operation(load(a, at), load(b, at + 1)))

    return run


@pytest.mark.parametrize("numbers", [WHOLE, FLOATING])
@pytest.mark.parametrize(("name", "like"), [
    ("add", np.add), ("subtract", np.subtract), ("larger", np.maximum), ("smaller", np.minimum),
    ("multiply", np.multiply)])
def test_operations_of_two(numbers, name, like):
    out, expected = numbers[2].copy(), numbers[2].copy()
    at = 37  # no multiple of anything
    expected[at : at + COUNT] = like(numbers[0, at : at + COUNT], numbers[1, at + 1 : at + 1 + COUNT])
    of_two(getattr(lanes, name))(numbers[0], numbers[1], out, at)
    np.testing.assert_array_equal(out, expected)


def test_the_others():
    @njit
    def run(whole, floating, out, halves):
        lanes.prefetch(whole, 10**9)  # where nothing is
        store(out, 0, lanes.backwards(load(whole, 3)))
        store(out, COUNT, lanes.truncated(load(floating, 5)))
        store(out, 2 * COUNT, lanes.counted(load(whole, 0), load(whole, 7), spread(np.int16(100))))
        lanes.store_halves(halves, 1, load(whole, 9))

    out, halves = np.zeros(4 * COUNT, np.int16), np.full(COUNT, -1, np.int16)
    whole = WHOLE[0]
    run(whole, FLOATING[0], out, halves)
    np.testing.assert_array_equal(out[:COUNT], whole[3 : 3 + COUNT][::-1])
    np.testing.assert_array_equal(out[COUNT : 2 * COUNT], np.trunc(FLOATING[0, 5 : 5 + COUNT]))
    np.testing.assert_array_equal(out[2 * COUNT : 3 * COUNT], whole[:COUNT] + (whole[7 : 7 + COUNT] >= 100))
    assert not out[3 * COUNT :].any()
    np.testing.assert_array_equal(halves[1 : 1 + COUNT // 4], whole[9 : 9 + COUNT].reshape(-1, 4).sum(axis=1) // 2)
    assert (halves[1 + COUNT // 4 :] == -1).all()
