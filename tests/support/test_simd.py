"""Vector operations give the same numbers as numpy."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit

from pipeline.support import simd, simd_pairs
from pipeline.support.simd import LANES, broadcast, load, store
from pipeline.support.simd_stores import store_half_sums_of_four, store_rounded, store_sums_of_four

pytestmark = pytest.mark.processor

WHOLE = np.random.default_rng(0).integers(-2000, 2000, (3, 200)).astype(np.int16)
BYTES = np.random.default_rng(2).integers(-11, 12, (3, 200)).astype(np.int8)
FLOATING = np.random.default_rng(1).normal(0, 1000, (3, 200)).astype(np.float32)


def binary(operation):
    @njit
    def run(a, b, out, at):
        store(out, at, operation(load(a, at), load(b, at + 1)))

    return run


@pytest.mark.parametrize("numbers", [WHOLE, FLOATING, BYTES])
@pytest.mark.parametrize(("name", "like"), [
    ("add", np.add), ("subtract", np.subtract), ("maximum", np.maximum), ("minimum", np.minimum),
    ("multiply", np.multiply)])
def test_binary_operations(numbers, name, like):
    out, expected = numbers[2].copy(), numbers[2].copy()
    at, end = 37, 37 + LANES  # 37 is not a multiple of any vector length
    expected[at:end] = like(numbers[0, at:end], numbers[1, at + 1 : end + 1])
    binary(getattr(simd, name))(numbers[0], numbers[1], out, at)
    np.testing.assert_array_equal(out, expected)


def test_other_operations():
    @njit
    def run(whole, floating, out, halves):
        simd.prefetch(whole, 10**9)  # out of range, which is allowed
        store(out, 0, simd.truncate_to_int16(simd.multiply(load(floating, 3), broadcast(np.float32(99)))))
        store(out, LANES, simd.truncate_to_int16(load(floating, 5)))
        store(out, 2 * LANES, simd.count_at_least(load(whole, 0), load(whole, 7), broadcast(np.int16(100))))
        store_half_sums_of_four(halves, 1, load(whole, 9))

    out, halves = np.zeros(4 * LANES, np.int16), np.full(LANES, -1, np.int16)
    whole = WHOLE[0]
    run(whole, FLOATING[0], out, halves)
    beyond = np.clip(np.trunc(np.float32(99) * FLOATING[0, 3 : 3 + LANES]), -32768, 32767)
    assert {-32768, 32767} < {*beyond.tolist()}
    np.testing.assert_array_equal(out[:LANES], beyond)
    np.testing.assert_array_equal(out[LANES : 2 * LANES], np.trunc(FLOATING[0, 5 : 5 + LANES]))
    np.testing.assert_array_equal(out[2 * LANES : 3 * LANES], whole[:LANES] + (whole[7 : 7 + LANES] >= 100))
    assert not out[3 * LANES :].any()
    np.testing.assert_array_equal(halves[1 : 1 + LANES // 4], whole[9 : 9 + LANES].reshape(-1, 4).sum(axis=1) // 2)
    assert (halves[1 + LANES // 4 :] == -1).all()


def test_division():
    out = np.zeros(200, np.float32)
    binary(simd.divide)(FLOATING[0], FLOATING[1], out, 3)
    np.testing.assert_array_equal(out[3 : 3 + LANES], FLOATING[0, 3 : 3 + LANES] / FLOATING[1, 4 : 4 + LANES])


def test_a_difference_from_a_product_is_rounded_once_or_twice():
    @njit
    def run(a, b, c, out):
        store(out, 0, simd.multiply_subtract(load(a, 0), load(b, 0), load(c, 0)))

    a, b, out = FLOATING[0, :LANES], FLOATING[1, :LANES], np.zeros(LANES, np.float32)
    c = (a * b) * np.float32(0.999)
    run(a, b, c, out)
    once, twice = (a.astype(float) * b - c).astype(np.float32), a * b - c
    assert (once != twice).any()
    assert (out == once).all() or (out == twice).all()


@pytest.mark.parametrize("numbers", [WHOLE, WHOLE.astype(np.int32)])
def test_sum_of_a_vector(numbers):
    @njit
    def run(a):
        return simd.sum_of(load(a, 0))

    few = numbers[0] // 10
    assert run(few) == few[:LANES].sum()


@pytest.mark.parametrize("kind", [np.int8, np.int16])
def test_integer_sums_saturate(kind):
    @njit
    def run(a, b, out):
        store(out, 0, simd.add(load(a, 0), load(b, 0)))

    ends = np.iinfo(kind)
    a, b = np.random.default_rng(3).integers(ends.min, ends.max + 1, (2, 64)).astype(kind)
    out = np.zeros(64, kind)
    run(a, b, out)
    np.testing.assert_array_equal(out[:LANES], np.clip(a.astype(int) + b, ends.min, ends.max)[:LANES])


@pytest.mark.parametrize("kind", [np.int8, np.int16])
@pytest.mark.parametrize("shift", [0, 1, 4, 8])
def test_rounded_numbers(kind, shift):
    @njit
    def run(a, out, shift):
        store_rounded(out, 3, load(a, 0), shift)

    ends = np.iinfo(kind)
    a = np.concatenate([[32767, 32766, -32768, -1, 0, 1], np.random.default_rng(4).integers(-32768, 32768, 26)])
    out = np.full(LANES + 4, 5, kind)
    run(a.astype(np.int16), out, shift)
    rounded = np.minimum(a + (1 << shift >> 1), 32767) >> shift
    np.testing.assert_array_equal(out[3 : 3 + LANES], np.clip(rounded, ends.min, ends.max))
    assert (out[:3] == 5).all()
    assert out[3 + LANES] == 5


@pytest.mark.parametrize("kind", [np.int16, np.int32])
def test_sums_of_pairs(kind):
    @njit
    def run(a, b, out):
        store(out, 0, simd_pairs.add_pairs(load(a, 0), load(b, 0)))
        store(out, LANES, simd_pairs.half(load(a, 0)))
        store(out, 2 * LANES, simd_pairs.add_half_pairs(load(a, LANES), load(b, LANES)))

    ends, rng = np.iinfo(kind), np.random.default_rng(5)
    small, large = (rng.integers(ends.min // by, ends.max // by + 1, (2, LANES)) for by in (2, 1))
    large[:, :6] = [[ends.max, ends.max, ends.min, ends.min, ends.max, ends.min]]
    a, b = np.concatenate([small, large], axis=1).astype(kind)
    out = np.zeros(3 * LANES, kind)
    run(a, b, out)
    np.testing.assert_array_equal(out[:LANES], small.reshape(-1, 2).sum(axis=1))
    np.testing.assert_array_equal(out[LANES : 2 * LANES], small[0] // 2)
    np.testing.assert_array_equal(out[2 * LANES :], large.reshape(-1, 2).sum(axis=1) // 2)


def test_sums_of_pairs_of_floats():
    @njit
    def run(a, out):
        store(out, 0, simd_pairs.add_pairs(load(a, 0), load(a, LANES)))

    a = np.random.default_rng(6).random(2 * LANES).astype(np.float32)
    out = np.zeros(LANES, np.float32)
    run(a, out)
    np.testing.assert_array_equal(out, a[::2] + a[1::2])


def test_operations_that_accept_nan():
    @njit
    def run(a, b, out, fours):
        store(out, 0, simd.where_positive(load(a, 0), load(b, 0)))
        store_sums_of_four(fours, 0, load(b, 0))
        largest = simd.max_of(load(b, 0))
        return largest, simd.is_any_outside(load(a, 0), np.float32(-1e6), np.float32(1e6))

    a, b = FLOATING[:2, :LANES].copy()
    out, fours = np.zeros(LANES, np.float32), np.zeros(LANES // 4, np.float32)
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
def test_maximum_of_a_vector(numbers):
    @njit
    def run(a):
        return simd.max_of(load(a, 0))

    assert run(numbers[0]) == numbers[0, :LANES].max()
