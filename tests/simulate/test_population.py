from __future__ import annotations

from dataclasses import fields

import numpy as np

from pipeline.simulate import UNSEEN, Signal, random_signal, sibling

SEEN_PATHS = {"straight", "sinusoid", "hops"}
SEEN_ENVELOPES = {"steady", "pulsed", "burst", "ramp", "fade", "scintillating"}


def is_of_a_trained_kind(signal: Signal) -> bool:
    return (signal.path.kind in SEEN_PATHS and signal.envelope.kind in SEEN_ENVELOPES and signal.stretch == 0
            and signal.profile in ("gaussian", "box") and signal.broadening_hz_per_s == signal.fan_hz_per_s == 0)


def test_random_signals_are_many_sided_and_of_trained_kinds():
    rng = np.random.default_rng(1)
    signals = [random_signal(rng) for _ in range(2000)]
    assert {one.path.kind for one in signals} == SEEN_PATHS
    assert {one.envelope.kind for one in signals} == SEEN_ENVELOPES
    assert all(is_of_a_trained_kind(one) for one in signals)
    assert set(range(1, 13)) >= {len(one.amplitudes) for one in signals} >= set(range(1, 9))
    snr = np.array([one.snr for one in signals])
    assert 2 <= snr.min() < 3
    assert 250 < snr.max() <= 300
    assert any(one.stagger_s > 0 for one in signals)
    assert any(one.curvature_hz_per_s2 for one in signals)
    drift = np.array([one.drift_hz_per_s for one in signals if not one.curvature_hz_per_s2])
    assert (drift == 0).mean() > 0.2
    assert abs(np.median(drift)) < 0.05
    # most signals fit into a window; some are larger
    extent = np.array([np.diff(one.extent_hz(0, 292))[0] for one in signals])
    assert 0.8 < (extent < 715).mean() < 1


def test_no_unseen_kind_is_ever_drawn():
    assert not [name for name, signal in UNSEEN.items() if is_of_a_trained_kind(signal)]


def test_a_sibling_differs_in_one_respect():
    rng = np.random.default_rng(2)
    respects = {
        "drift": {"drift_hz_per_s"},
        "width": {"width_hz"},
        "envelope": {"envelope", "stagger_s"},
        "lines": {"spacing_hz", "amplitudes", "stagger_s"},
        "motion": {"path", "curvature_hz_per_s2"},
    }
    seen = set()
    for _ in range(600):
        signal = random_signal(rng)
        other = sibling(rng, signal)
        changed = {f.name for f in fields(Signal) if getattr(signal, f.name) != getattr(other, f.name)}
        assert changed
        allowed = [name for name, its in respects.items() if changed <= its]
        assert allowed, changed
        seen.update(allowed)
    assert seen == set(respects)
