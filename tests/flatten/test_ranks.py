"""Values of given ranks, compared with a sort."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pipeline.flatten.ranks import between_ranks

Numbers = Callable[[np.random.Generator, tuple[int, int]], Any]
KINDS: dict[str, Numbers] = {
    "noise": lambda rng, shape: rng.gamma(4, 1, shape),
    "few levels": lambda rng, shape: rng.integers(0, 4, shape),
    "two levels": lambda rng, shape: rng.integers(0, 2, shape),
    "one level": lambda rng, shape: np.full(shape, 0.1),
    "some infinite": lambda rng, shape: np.where(rng.random(shape) < 0.2, np.inf, rng.random(shape)),
    "far apart": lambda rng, shape: 10.0 ** rng.uniform(-44, 38, shape),
    "almost equal": lambda rng, shape: 1 + rng.integers(0, 9, shape) * 2.0**-23,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 2, 3, 31, 32, 33, 100, 2048])
def test_they_are_those_of_a_sort(kind: str, count: int) -> None:
    rng = np.random.default_rng(count)
    for _ in range(10):
        values = KINDS[kind](rng, (5, count)).astype(np.float32)
        first, last = sorted(rng.integers(0, count, 2).tolist())
        chosen = between_ranks(values, first, last)
        np.testing.assert_array_equal(chosen, np.sort(values, axis=1)[:, first : last + 1], f"{first} to {last}")


def test_all_ranks_and_the_outermost_ones() -> None:
    values = np.random.default_rng(0).random((3, 70)).astype(np.float32)
    ordered = np.sort(values, axis=1)
    for first, last in ((0, 69), (0, 0), (69, 69), (0, 68), (1, 69)):
        np.testing.assert_array_equal(between_ranks(values, first, last), ordered[:, first : last + 1])


def test_rows_may_lie_in_any_order_in_memory() -> None:
    values = np.random.default_rng(0).random((40, 5)).astype(np.float32).T[:, ::-1]
    before = values.copy()
    np.testing.assert_array_equal(between_ranks(values, 10, 20), np.sort(values, axis=1)[:, 10:21])
    np.testing.assert_array_equal(values, before)
