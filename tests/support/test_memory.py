"""Memory for numbers, small and large."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.support.memory import MIN_LARGE_BYTES, MIN_NUMPY_BYTES, take_floats


@pytest.mark.parametrize("count", [0, 1, 1000, MIN_LARGE_BYTES // 4 - 1, MIN_LARGE_BYTES // 4, MIN_NUMPY_BYTES])
def test_as_many_numbers_as_asked_for(count: int) -> None:
    memory = take_floats(count)
    assert memory.shape == (count,)
    assert memory.dtype == np.float32
    assert memory.flags.c_contiguous
    memory[:] = 1
    assert memory.sum() == count


def test_only_much_memory_is_part_of_a_larger_array() -> None:
    assert take_floats(1000).base is None
    for count in (MIN_LARGE_BYTES // 4, MIN_NUMPY_BYTES // 4 - 1):
        assert take_floats(count).base.nbytes == MIN_NUMPY_BYTES
