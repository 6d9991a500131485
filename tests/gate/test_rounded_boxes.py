"""Boxes of rounded power, compared with numpy."""

import numpy as np
import pytest

from pipeline.gate import gate, prefilter
from pipeline.gate.box_tree import row_pitch
from pipeline.gate.rounded_boxes import USUAL_CHANNELS, copy_scale, round_to_boxes
from pipeline.support.compiled import njit
from pipeline.support.simd import LANES


@njit
def run(power, stride, at, row_scale, scale, one, max_units, fine, boxes, pitch, offsets, shifts, pixel, seen):
    round_to_boxes(power, stride, at, at, row_scale, scale, one, max_units, fine, boxes, pitch, offsets, shifts, pixel,
                   seen)


@pytest.mark.parametrize(("spectra", "channels", "noise_spectra"), [
    (16, USUAL_CHANNELS, 51.0), (16, USUAL_CHANNELS, 4.0), (4, USUAL_CHANNELS, 25_000.0), (3, USUAL_CHANNELS, 51.0),
    (64, USUAL_CHANNELS, 51.0), (16, 512, 51.0), (16, 128, 51.0), (16, 100, 51.0), (5, 1024, 200.0)])
def test_boxes_are_those_of_numpy(spectra: int, channels: int, noise_spectra: float) -> None:
    rng, first = np.random.default_rng(channels), 7
    power = rng.gamma(noise_spectra, 1 / noise_spectra, (spectra, channels + 40)).astype(np.float32)
    power[:, 50:90] *= 3
    power[0, 20] = 1e6
    row_scale, scale = (rng.uniform(0.9, 1.1, size).astype(np.float32) for size in (spectra, channels))
    limits = gate._rounded_thresholds(noise_spectra, channels, spectra, 1e-3)
    fine, boxes, _, _, seen = prefilter._room(spectra, channels, limits)
    boxes[:] = 0
    pitch = row_pitch(spectra, limits.offsets)
    run(power.reshape(-1), power.shape[1], first, row_scale, scale, limits.one, limits.max_units, fine, boxes, pitch,
        limits.offsets, limits.shifts, np.int16(limits.pixel), seen)

    factor = (scale * (row_scale * limits.one)[:, None]).astype(float)  # the product with power is exact, rounded once
    above = (power[:, first : first + channels] * factor - float(limits.one)).astype(np.float32)
    units = np.trunc(np.clip(above, -limits.max_units, limits.max_units)).astype(np.int64)
    assert seen[:LANES].sum() == (units >= limits.pixel).sum()
    assert max(seen[LANES:]) == units.max() == limits.max_units
    wide, rows = units, boxes.reshape(-1, pitch)[:spectra]
    ends = np.iinfo(boxes.dtype)
    for i, (start, shift) in enumerate(zip(limits.offsets[:-1], limits.shifts, strict=True)):
        if i:
            columns = wide.shape[1] // 4
            wide = wide[:, : 4 * columns].reshape(spectra, columns, 4).sum(axis=2) // 2
        rounded = np.clip((wide + (1 << int(shift) >> 1)) >> int(shift), ends.min, ends.max)
        np.testing.assert_array_equal(rows[:, start : start + wide.shape[1]], rounded, err_msg=f"boxes {i}")
        if channels == USUAL_CHANNELS:  # nothing may lie between the widths
            assert not rows[:, start + wide.shape[1] : limits.offsets[i + 1]].any()


@pytest.mark.parametrize("channels", [256, 100, 32])
@pytest.mark.parametrize("is_mirrored", [False, True])
def test_the_scale_is_in_the_order_of_the_pixels(channels: int, is_mirrored: bool) -> None:
    of_channels, scale = np.arange(500, dtype=np.float32), np.zeros(channels, np.float32)
    copy_scale(of_channels, 13, is_mirrored, scale)
    expected = of_channels[13 : 13 + channels]
    np.testing.assert_array_equal(scale, expected[::-1] if is_mirrored else expected)
