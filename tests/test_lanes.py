"""Lanes do what numpy does, number by number."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from pipeline import lanes
from pipeline.lanes import COUNT, COUNT_OF_BYTES, load, spread, store

pytestmark = pytest.mark.processor

WHOLE = np.random.default_rng(0).integers(-2000, 2000, (3, 200)).astype(np.int16)
BYTES = np.random.default_rng(2).integers(-11, 12, (3, 200)).astype(np.int8)
FLOATING = np.random.default_rng(1).normal(0, 1000, (3, 200)).astype(np.float32)


def of_two(operation):
    @njit
    def run(a, b, out, at):
        store(out, at, operation(load(a, at), load(b, at + 1)))

    return run


@pytest.mark.parametrize("numbers", [WHOLE, FLOATING, BYTES])
@pytest.mark.parametrize(("name", "like"), [
    ("add", np.add), ("subtract", np.subtract), ("larger", np.maximum), ("smaller", np.minimum),
    ("multiply", np.multiply)])
def test_operations_of_two(numbers, name, like):
    out, expected = numbers[2].copy(), numbers[2].copy()
    at, count = 37, COUNT_OF_BYTES if numbers is BYTES else COUNT  # 37 is no multiple of anything
    expected[at : at + count] = like(numbers[0, at : at + count], numbers[1, at + 1 : at + 1 + count])
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


def test_division():
    out = np.zeros(200, np.float32)
    of_two(lanes.divide)(FLOATING[0], FLOATING[1], out, 3)
    np.testing.assert_array_equal(out[3 : 3 + COUNT], FLOATING[0, 3 : 3 + COUNT] / FLOATING[1, 4 : 4 + COUNT])


@pytest.mark.parametrize("kind", [np.int8, np.int16])
def test_whole_sums_end_at_the_largest_and_the_least(kind):
    @njit
    def run(a, b, out):
        store(out, 0, lanes.add(load(a, 0), load(b, 0)))

    ends = np.iinfo(kind)
    a, b = np.random.default_rng(3).integers(ends.min, ends.max + 1, (2, 64)).astype(kind)
    out = np.zeros(64, kind)
    run(a, b, out)
    count = lanes.COUNT_OF_BYTES if kind is np.int8 else COUNT
    np.testing.assert_array_equal(out[:count], np.clip(a.astype(int) + b, ends.min, ends.max)[:count])


@pytest.mark.parametrize("kind", [np.int8, np.int16])
@pytest.mark.parametrize("shift", [0, 1, 4, 8])
def test_rounded_numbers(kind, shift):
    @njit
    def run(a, out, shift):
        lanes.store_rounded(out, 3, load(a, 0), shift)

    ends = np.iinfo(kind)
    a = np.concatenate([[32767, 32766, -32768, -1, 0, 1], np.random.default_rng(4).integers(-32768, 32768, 26)])
    out = np.full(COUNT + 4, 5, kind)
    run(a.astype(np.int16), out, shift)
    rounded = np.minimum(a + (1 << shift >> 1), 32767) >> shift
    np.testing.assert_array_equal(out[3 : 3 + COUNT], np.clip(rounded, ends.min, ends.max))
    assert (out[:3] == 5).all()
    assert out[3 + COUNT] == 5


def test_floating_numbers_that_may_be_none():
    @njit
    def run(a, b, out, fours):
        store(out, 0, lanes.where_positive(load(a, 0), load(b, 0)))
        lanes.store_fours(fours, 0, load(b, 0))
        largest = lanes.largest_of(load(b, 0))
        return largest, lanes.is_any_outside(load(a, 0), np.float32(-1e6), np.float32(1e6))

    a, b = FLOATING[:2, :COUNT].copy()
    out, fours = np.zeros(COUNT, np.float32), np.zeros(COUNT // 4, np.float32)
    assert run(a, b, out, fours) == (b.max(), False)
    np.testing.assert_array_equal(out, np.where(a > 0, b, 0))
    pairs = b.reshape(-1, 2).sum(axis=1)
    np.testing.assert_array_equal(fours, pairs.reshape(-1, 2).sum(axis=1))
    for value in (np.nan, np.inf, -np.inf, -1e6, 2e6):
        one = a.copy()
        one[11] = value
        assert run(one, b, out, fours)[1], value
        np.testing.assert_array_equal(out, np.where(one > 0, b, 0))


@pytest.mark.parametrize("numbers", [WHOLE, FLOATING, BYTES])
def test_the_largest(numbers):
    @njit
    def run(a):
        return lanes.largest_of(load(a, 0)), lanes.count_of(a)

    count = COUNT_OF_BYTES if numbers is BYTES else COUNT
    assert run(numbers[0]) == (numbers[0, :count].max(), count)
