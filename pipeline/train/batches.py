"""Simulated windows for training. Each step draws new windows from the seed and the number of the step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.grid.cutouts import cutouts_of_power, quantise
from pipeline.simulate import (
    FINE,
    KINDS,
    SKY,
    SNR_RANGE,
    Axes,
    Gains,
    Pattern,
    Signal,
    log_uniform,
    random_pattern,
    random_signal,
    sibling,
    simulate_cutouts,
    simulate_power,
    together,
    vary,
    vary_pattern,
)

PAIRS_PER_STEP = 128
"""Emitters per step. Half of them are patterns; the others are signals, half of them siblings of the rest, so that the
encoder learns small differences."""
NOISE_WINDOWS_PER_STEP = 32
"""Windows of noise per step, in addition to the pairs. Training pushes their vectors away from those of all signals."""
WINDOWS_PER_STEP = 64
"""Windows per step for an encoder that is trained without pairs; an eighth of them hold noise only."""
WEAK_SHARE, WEAK_SNR = 0.5, (2.0, 7.0)
"""Share of pairs in which both views are weak, and the range of their SNR."""
CLEAR_SNR = (12.0, 80.0)
"""Range of the SNR of clear views, which nothing disturbs."""
HIDDEN_SHARE = 0.6
"""Share of weak views among the views beside the clear ones."""
EMITTERS_PER_STEP, NOISE_BESIDE_CLEAR = 220, 88
"""Emitters per step, each seen four times, and windows of noise per step, if there are clear views."""
VARIED_SHARE = 0.25
"""Share of patterns that are stretched and mirrored. Each is then the only one of its kind."""
WINDOWS_PER_KIND = 12
"""Windows of each kind in a block of windows from which the kinds are learned."""
KIND_WEAK_SHARE, KIND_VARIED_SHARE = 0.35, 0.25
"""Share of those windows that are weak, and share of those whose pattern is stretched and mirrored."""
CROWDED_SHARE = 0.12
"""Share of views of patterns that hold a second, weaker pattern."""
STEPPED_SHARE = 0.15
"""Share of views of patterns over which the receiver's gain steps."""
OTHER_NOISE_SHARE, NOISE_SPECTRA = 0.4, (4.0, 25_000.0)
"""Share of windows whose noise is not that of the fine product, and the range of its N."""
OWN_BAND_SHARE = 0.3
"""Share of windows that are flattened by themselves, as arrays are, without the band around them."""
NOISE_KIND = -1
"""Number of the kind of a window without a signal."""

_TRAINING = 0  # first number of every training seed; other parts of the program start their seeds with other numbers
_JITTER = 0.1  # relative difference of drift, curvature and width between the views of half of the pairs
_NOISES_PER_STEP = 3
_NAMES = list(dict.fromkeys(name.split("+")[0] for name in KINDS))


@dataclass(frozen=True, slots=True)
class Views:
    """Windows of a step, and the kind of each."""

    cutouts: NDArray[np.uint8]
    """(n, 16, 256)."""
    kinds: NDArray[np.int32]
    """(n,) Number of each window's kind; :data:`NOISE_KIND` for noise. An emitter that is not one of
    :data:`~pipeline.simulate.KINDS` is a kind of its own."""


def simulate_views(
    seed: int, step: int, pairs: int = PAIRS_PER_STEP, noise_windows: int = NOISE_WINDOWS_PER_STEP
) -> Views:
    """Simulate the windows of one step.

    The two views of a pair share only their emitter. Strength, position, phase, noise, gains, slope, second signals and
    cuts by the window's edge are drawn for each view, and so are the single lines of a pattern.

    Parameters
    ----------
    seed : int
        Seed of the training run.
    step : int
        Number of the step.
    pairs : int
        Number of pairs.
    noise_windows : int
        Number of windows of noise.

    Returns
    -------
    Views
        All first views, all second views in the same order, then noise.
    """
    rng = np.random.default_rng([_TRAINING, seed, step])
    emitters, kinds = _draw_emitters(rng, pairs)
    jitter = [_JITTER * (rng.random() < 0.5) for _ in emitters]
    weak = rng.random(pairs) < WEAK_SHARE
    both = [_view(rng, *one) for _ in range(2) for one in zip(emitters, weak.tolist(), jitter, strict=True)]
    cutouts = _simulate_in_any_noise(rng, both + [None] * noise_windows)
    return Views(cutouts, np.array(2 * kinds + [NOISE_KIND] * noise_windows, np.int32))


def simulate_clear_views(
    seed: int, step: int, emitters: int = EMITTERS_PER_STEP, noise_windows: int = NOISE_BESIDE_CLEAR
) -> Views:
    """Simulate two clear views of each emitter, and two others, of which most are weak.

    Parameters
    ----------
    seed : int
        Seed of the training run.
    step : int
        Number of the step.
    emitters : int
        Number of emitters, which are those of :func:`simulate_views`.
    noise_windows : int
        Number of windows of noise.

    Returns
    -------
    Views
        All first clear views, all second ones, all third and all fourth views in the same order, then noise.
    """
    rng = np.random.default_rng([_TRAINING, seed, step, 2])
    seen, kinds = _draw_emitters(rng, emitters)
    jitter = [_JITTER * (rng.random() < 0.5) for _ in seen]
    clear = [_clear_view(rng, *one) for _ in range(2) for one in zip(seen, jitter, strict=True)]
    weak = rng.random((2, emitters)) < HIDDEN_SHARE
    others = [_view(rng, *one) for row in weak for one in zip(seen, row.tolist(), jitter, strict=True)]
    cutouts = _simulate_in_any_noise(rng, [*clear, *others, *[None] * noise_windows])
    return Views(cutouts, np.array(4 * kinds + [NOISE_KIND] * noise_windows, np.int32))


def simulate_noise(seed: int, block: int, windows: int) -> NDArray[np.uint8]:
    """Simulate windows (n, 16, 256) of noise, of which no training step sees one."""
    rng = np.random.default_rng([_TRAINING, seed, block, 3])
    return _simulate_in_any_noise(rng, [None] * windows)


def simulate_kind_views(seed: int, step: int) -> Views:
    """Simulate windows of every kind, each of another emitter, and as much noise as of four kinds.

    Parameters
    ----------
    seed : int
        Seed of the training run.
    step : int
        Number of the block of windows.

    Returns
    -------
    Views
        :data:`WINDOWS_PER_KIND` windows of each kind in turn, then noise.
    """
    rng = np.random.default_rng([_TRAINING, seed, step, 1])
    names = [name for name in KINDS for _ in range(WINDOWS_PER_KIND)]
    weak, varied = rng.random((2, len(names))) < [[KIND_WEAK_SHARE], [KIND_VARIED_SHARE]]
    patterns = [random_pattern(rng, name, is_varied=bool(one)) for name, one in zip(names, varied, strict=True)]
    views = [_view(rng, one, bool(is_weak), _JITTER) for one, is_weak in zip(patterns, weak, strict=True)]
    noise_windows = 4 * WINDOWS_PER_KIND
    cutouts = _simulate_in_any_noise(rng, [*views, *[None] * noise_windows])
    return Views(cutouts, np.array([*map(_kind_number, names), *[NOISE_KIND] * noise_windows], np.int32))


def _kind_number(name: str) -> int:
    """Return the number of a kind. Steps of the gain make no other kind."""
    return _NAMES.index(name.split("+")[0])


def _draw_patterns(rng: np.random.Generator, count: int) -> tuple[list[Pattern], list[int]]:
    """Draw patterns of all kinds in turn, and the numbers of their kinds."""
    first = int(rng.integers(len(KINDS)))
    names = [list(KINDS)[(first + i) % len(KINDS)] for i in range(count)]
    varied = rng.random(count) < VARIED_SHARE
    patterns = [random_pattern(rng, name, is_varied=bool(one)) for name, one in zip(names, varied, strict=True)]
    return patterns, [len(KINDS) + i if varied[i] else _kind_number(name) for i, name in enumerate(names)]


def _draw_signals(rng: np.random.Generator, count: int) -> list[Signal]:
    originals = [random_signal(rng) for _ in range((count + 1) // 2)]
    return [*originals, *(sibling(rng, one) for one in originals)][:count]


def _draw_emitters(rng: np.random.Generator, count: int) -> tuple[list[Signal | Pattern], list[int]]:
    """Draw emitters, half of them patterns, and the numbers of their kinds."""
    patterns, kinds = _draw_patterns(rng, count // 2)
    kinds += range(len(KINDS) + len(kinds), len(KINDS) + count)
    return [*patterns, *_draw_signals(rng, count - count // 2)], kinds


def _clear_view(rng: np.random.Generator, emitter: Signal | Pattern, jitter: float) -> Signal | Pattern:
    """Draw a strong view of an emitter, without a second pattern and without steps of the gain."""
    if isinstance(emitter, Signal):
        return vary(rng, emitter, CLEAR_SNR, jitter)
    return vary_pattern(rng, emitter, CLEAR_SNR, jitter)


def _view(
    rng: np.random.Generator, emitter: Signal | Pattern, is_weak: bool, jitter: float
) -> Signal | Pattern:
    """Draw one view of an emitter."""
    if isinstance(emitter, Signal):
        return vary(rng, emitter, WEAK_SNR if is_weak else SNR_RANGE, jitter)
    usual = KINDS[emitter.kind].snr
    seen = vary_pattern(rng, emitter, WEAK_SNR if is_weak else (6.0, 60.0) if rng.random() < 0.3 else usual, jitter)
    crowded, stepped = rng.random(2) < (CROWDED_SHARE, STEPPED_SHARE)
    if crowded:
        seen = together(seen, random_pattern(rng, is_varied=True), strength=log_uniform(rng, 0.05, 0.5))
    if stepped and emitter.kind != "gain-steps":
        steps = Gains(log_uniform(rng, 0.05, 0.3), log_uniform(rng, 12, 60))
        seen = replace(seen, parts=(*(part for part in seen.parts if not isinstance(part, Gains)), steps))
    return seen


def _simulate_in_any_noise(
    rng: np.random.Generator, signals: Sequence[Signal | Pattern | None]
) -> NDArray[np.uint8]:
    """Simulate cutouts; some have the noise of other products, and some are flattened by themselves."""
    others = [Axes(averaged=log_uniform(rng, *NOISE_SPECTRA)) for _ in range(_NOISES_PER_STEP)]
    which = np.where(rng.random(len(signals)) < OTHER_NOISE_SHARE, rng.integers(len(others), size=len(signals)), -1)
    alone = rng.random(len(signals)) < OWN_BAND_SHARE
    cutouts = np.zeros((len(signals), 16, 256), np.uint8)
    for number, axes in enumerate([*others, FINE]):
        here = np.flatnonzero(which == (number if number < len(others) else -1))
        power = simulate_power(rng, [signals[i] for i in here.tolist()], axes=axes, scene=SKY)
        cutouts[here] = quantise(power, axes.sigma)
        cutouts[here[alone[here]]] = cutouts_of_power(power[alone[here]])
    return cutouts


def simulate_singles(seed: int, step: int, batch: int = WINDOWS_PER_STEP) -> NDArray[np.uint8]:
    """Simulate the windows of one step of a training without pairs: signals, then an eighth of noise.

    Parameters
    ----------
    seed : int
        Seed of the training run.
    step : int
        Number of the step.
    batch : int
        Number of windows.

    Returns
    -------
    (batch, 16, 256) uint8
        Cutouts.
    """
    rng = np.random.default_rng([_TRAINING, seed, step])
    signals = [vary(rng, random_signal(rng), SNR_RANGE) for _ in range(batch - batch // 8)]
    return simulate_cutouts(rng, signals + [None] * (batch // 8), scene=SKY)
