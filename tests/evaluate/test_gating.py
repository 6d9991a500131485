"""The gate's operating curve."""

from __future__ import annotations

import numpy as np

from pipeline.evaluate import gating
from pipeline.evaluate.gating import FALSE_ALARMS, SNRS, measure_operating_curve
from pipeline.simulate import FAMILIES, UNSEEN


def test_strong_signals_pass_noise_does_not_and_more_false_alarms_let_more_pass() -> None:
    curve = measure_operating_curve(per_cell=4, noise_windows=6000)
    assert curve.snrs == SNRS
    assert tuple(one.false_alarm for one in curve.points) == FALSE_ALARMS
    for one in curve.points:
        assert set(one.by_family) == {*FAMILIES, *UNSEEN}
        assert one.overall[-1] == 1  # SNR 30
        assert one.overall[0] < 0.9  # SNR 1.5
        np.testing.assert_allclose(one.overall, np.mean(list(one.by_family.values()), axis=0))
    for strict, loose in zip(curve.points, curve.points[1:], strict=False):
        for family, shares in strict.by_family.items():
            assert all(a <= b for a, b in zip(shares, loose.by_family[family], strict=True))
    assert 0.006 < curve.points[-1].false_alarm_measured < 0.015  # 1 % of 6,000: 60 ± 8
    assert curve.points[1].false_alarm_measured < 0.003


def test_each_window_is_gated_by_itself() -> None:
    """Apply the gate to a band in which every third window holds a bright bin."""
    band = np.random.default_rng(0).standard_gamma(102, (16, 9 * 256)).astype(np.float32) / 102
    band[5, np.arange(0, 9, 3) * 256 + 100] += 5
    passed = gating._apply_gate(band)
    assert passed.shape == (len(FALSE_ALARMS), 9)
    assert passed[0].tolist() == [True, False, False] * 3
