"""Speed in windows per second."""

from __future__ import annotations

import time

import numpy as np
import pytest

from pipeline.evaluate.speed import measure_speed


def test_speed_is_that_of_the_encoder_without_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, clock_s = [], [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock_s[0])

    def encode(cutouts: np.ndarray) -> np.ndarray:
        calls.append(len(cutouts))
        clock_s[0] += (0.5 if len(calls) == 1 else 0) + len(cutouts) * 2e-4
        return np.ones((len(cutouts), 1), np.float32)

    found = measure_speed(encode, np.zeros((100, 16, 256), np.uint8), min_duration_s=0.2)
    assert found == pytest.approx(5000)
    assert calls[-1] * 2e-4 >= 0.2 * 0.7
