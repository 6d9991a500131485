"""Scores by step, on known vectors; cut signals, compared with a search of all windows."""

from __future__ import annotations

import numpy as np

from pipeline.evaluate.steps import STEPS, CutSignals, cut_signals, evaluate_steps, step_sets
from pipeline.simulate import Signal


def numbered(vectors: dict[int, list[float]], numbers: list[int]) -> np.ndarray:
    """Return cutouts whose first pixel is the index of their vector in ``vectors``."""
    cutouts = np.zeros((len(numbers), 16, 256), np.uint8)
    cutouts[:, 0, 0] = numbers
    return cutouts


def test_found_and_recalled_by_hand() -> None:
    """Check three signals.

    Signal 0 (family a) lies whole in the window at channel 0, and by a sliver in the window at 64. Signal 1 (family b)
    lies only in the window at 192. Signal 2 (family a) lies in no window.
    """
    vectors = {1: [1, 0, 0], 2: [0, 1, 0], 3: [0, 0, 1], 4: [0.6, 0, 0.8], 9: [0, 0, 1]}

    def encode(cutouts: np.ndarray) -> np.ndarray:
        return np.array([vectors[number] for number in cutouts[:, 0, 0]], np.float32)

    cut = CutSignals(numbered(vectors, [1, 9, 2]), np.array([0, 0, 1]), np.array([0, 64, 192]),
                     np.array(["a", "b", "a"]), np.array([True, True, False]))
    # the library: five of b, five of a, then noise that resembles the sliver
    library = numbered(vectors, [1] * 5 + [2] * 5 + [3] * 8), np.array(["a"] * 5 + ["b"] * 5 + ["noise"] * 8)
    curve = evaluate_steps(encode, cut, library)
    assert (curve.signals, curve.on_boundary) == (3, 2)
    found = {one.step: (one.found, one.found_on_boundary) for one in curve.steps}
    assert found == {64: (2 / 3, 1.0), 128: (1 / 3, 0.5), 192: (2 / 3, 1.0), 256: (1 / 3, 0.5)}
    assert {one.step: one.cost for one in curve.steps} == {64: 4, 128: 2, 192: 256 / 192, 256: 1}
    assert curve.recommended == 192
    recalled = {one.step: (one.recalled, one.recalled_on_boundary) for one in curve.steps}
    assert recalled == {64: (2 / 3, 1.0), 128: (1 / 3, 0.5), 192: (2 / 3, 1.0), 256: (1 / 3, 0.5)}


def test_no_step_is_recommended_where_none_finds_enough() -> None:
    cut = CutSignals(np.zeros((1, 16, 256), np.uint8), np.array([0]), np.array([0]), np.array(["a", "a"]),
                     np.array([False, True]))
    library = np.zeros((9, 16, 256), np.uint8), np.array(["a"] * 9)
    curve = evaluate_steps(lambda cutouts: np.ones((len(cutouts), 1), np.float32), cut, library)
    assert curve.recommended is None
    assert {one.found for one in curve.steps} == {0.5}


def test_noise_in_between_keeps_a_signal_from_being_recalled() -> None:
    """Check that one window of noise may come before the only member of a family, but not two: 2R is 2."""
    vectors = {1: [1, 0], 2: [0.8, 0.6], 3: [0.9, 0.43589]}

    def encode(cutouts: np.ndarray) -> np.ndarray:
        return np.array([vectors[number] for number in cutouts[:, 0, 0]], np.float32)

    cut = CutSignals(numbered(vectors, [2]), np.array([0]), np.array([0]), np.array(["a"]), np.array([True]))
    for noise, expected in ((1, 1.0), (2, 0.0)):
        library = numbered(vectors, [1] * 5 + [3] * noise), np.array(["a"] * 5 + ["noise"] * noise)
        assert evaluate_steps(encode, cut, library).steps[0].recalled == expected


def test_windows_that_overlap_a_strong_signal_are_those_that_the_gate_keeps() -> None:
    """Check that a steady line of one channel is in every window of 256 that holds its channel, and in no other."""
    cut = cut_signals([Signal("line", width_hz=2)], 40, seed=1)
    assert set(np.unique(cut.owner)) == set(range(40))
    for i in range(40):
        own = cut.owner == i
        starts, windows = cut.start[own], cut.cutouts[own].astype(float)
        # the brightest channel of each window is the same channel of the band
        brightest = starts + windows.mean(axis=1).argmax(axis=1)
        inside = np.abs(brightest - np.median(brightest)) <= 1
        assert inside.sum() in (4, 5)
        assert own.sum() <= 6
        assert not cut.on_boundary[i] or np.isin(np.median(brightest) % 256, (0, 1, 254, 255))


def test_signals_lie_anywhere_relative_to_every_grid() -> None:
    cut, (cutouts, labels) = step_sets(80)
    assert len(cut.families) == 80
    assert set(cut.families) <= set(labels)
    assert len(cutouts) == len(labels) == 2048
    assert 0.1 < cut.on_boundary.mean() < 0.9
    assert set(cut.start % 64) == {0}
    for step in STEPS:  # at every step, nearly every signal overlaps a window
        assert len(np.unique(cut.owner[cut.start % step == 0])) >= 78
