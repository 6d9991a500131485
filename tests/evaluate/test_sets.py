"""Held-out sets are reproducible, have the stated composition, and are not used in training."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipeline.evaluate.retrieval import evaluate_retrieval, evaluate_set
from pipeline.evaluate.sets import (
    DISTURBED,
    HELD_OUT,
    INTERFERENCE_SETS,
    SETS,
    SNR_BANDS,
    SetSpec,
    draw_families,
    draw_signals,
    labelled_set,
    simulate_set,
)
from pipeline.grid.cutouts import quantise
from pipeline.simulate import FAMILIES, KINDS, NOISE, UNSEEN, Pattern, mixed_signal
from pipeline.simulate.signals import FINE

SMALL = SetSpec("small", signals=24, noise=16, unrelated=5, kinds=6)


def test_a_set_is_what_its_spec_says() -> None:
    power, labels = simulate_set(SMALL)
    assert power.shape == (45, 16, 256)
    assert power.dtype == np.float32
    assert (labels == NOISE).sum() == 16
    names, counts = np.unique(labels[:24], return_counts=True)
    assert names.tolist() == [f"mixed-{i:02d}" for i in range(6)]
    assert counts.tolist() == [4] * 6
    assert len(set(labels[24:29])) == 5  # each is the only one of its kind


def test_a_set_depends_on_its_seed_alone() -> None:
    first, again, other = (simulate_set(SMALL, seed)[0] for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.isclose(first, other).all(axis=(1, 2)).any()


def test_bands_hold_the_same_families_at_their_own_strength() -> None:
    drawn = [draw_signals(replace(SMALL, snr=snr), 0, np.random.default_rng(0))[0] for snr in SNR_BANDS]
    for k, (low, high) in enumerate(SNR_BANDS):
        strengths = [one.snr for one in drawn[k][:24]]
        assert low <= min(strengths)
        assert max(strengths) <= high
    for weak, strong in zip(drawn[0][:24], drawn[2][:24], strict=True):
        assert weak.amplitudes == strong.amplitudes
        assert weak.spacing_hz == strong.spacing_hz


def test_a_set_comes_as_the_scan_stores_it() -> None:
    power, labels = simulate_set(SMALL)
    stored = labelled_set(SMALL)
    assert np.array_equal(stored.cutouts, quantise(power, FINE.sigma))
    assert np.array_equal(stored.labels, labels)
    noise = power[labels == NOISE]
    assert noise.mean() == pytest.approx(1, abs=0.005)
    assert noise.std() == pytest.approx(102**-0.5, rel=0.03)


def test_disturbances_reach_the_windows() -> None:
    calm = simulate_set(SMALL)[0]
    wild = simulate_set(replace(SMALL, scene=replace(DISTURBED, gained=1.0)))[0]
    noise = slice(29, None)
    assert calm[noise].mean(axis=2).std() < 0.01
    assert wild[noise].mean(axis=2).std() > 0.04


def test_the_default_sets_cover_bands_and_kinds() -> None:
    for kind in ("mixed", "random", "unseen"):
        assert tuple(one.snr for one in SETS if one.families == kind and one.name != "disturbed") == SNR_BANDS
    assert {one.signals + one.unrelated + one.noise for one in SETS} == {2048}
    assert len({(one.name, one.snr) for one in SETS}) == len(SETS)
    assert HELD_OUT != 0  # the seeds of training start with 0


def test_kinds_of_families() -> None:
    rng = np.random.default_rng(0)
    assert draw_families("catalogue", rng) is FAMILIES
    assert draw_families("unseen", rng) is UNSEEN
    assert not set(FAMILIES) & set(UNSEEN)
    mixed = [mixed_signal(rng, str(i)) for i in range(400)]
    assert {one.envelope.kind for one in mixed} == {"steady", "pulsed", "burst", "ramp", "scintillating"}
    assert {one.path.kind for one in mixed} == {"straight", "sinusoid", "hops"}
    assert {len(one.amplitudes) for one in mixed} == {1, 2, 3, 4, 5}
    drifting = [one for one in mixed if one.drift_hz_per_s and not one.curvature_hz_per_s2]
    assert {np.sign(one.drift_hz_per_s) for one in drifting} == {-1, 1}
    assert any(one.curvature_hz_per_s2 for one in mixed)


def test_an_encoder_that_knows_the_answer_is_perfect_and_one_that_knows_nothing_is_not() -> None:
    stored = labelled_set(SetSpec("small", signals=60, noise=60, kinds=6))
    family = np.unique(stored.labels, return_inverse=True)[1]

    def knowing(cutouts: np.ndarray) -> np.ndarray:
        assert cutouts is stored.cutouts
        return np.eye(family.max() + 1, dtype=np.float32)[family]

    def ignorant(cutouts: np.ndarray) -> np.ndarray:
        vectors = np.random.default_rng(0).standard_normal((len(cutouts), 50)).astype(np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    [perfect] = evaluate_retrieval(knowing, [stored])
    assert perfect.overall.mean_average_precision == 1
    assert perfect.overall.precision_at_5 == 1
    assert perfect.overall.noise_at_5 == 0
    chance = evaluate_set(ignorant, stored)
    assert chance.overall.mean_average_precision < 0.2
    assert chance.overall.noise_at_5 == pytest.approx(0.5, abs=0.12)
    assert set(chance.by_family) == set(stored.labels) - {NOISE}
    assert chance.overall.queries == sum(one.queries for one in chance.by_family.values()) == 60
    mean = np.mean([one.mean_average_precision for one in chance.by_family.values()])
    assert mean == pytest.approx(chance.overall.mean_average_precision)


def test_sets_of_interference_hold_each_kind_equally_and_emitters_keep_their_parameters() -> None:
    spec = SetSpec("small", "interference", (6, 8), signals=50, noise=5, kinds=25)
    signals, labels = draw_signals(spec, 0, np.random.default_rng(0))
    assert set(labels[:50]) == set(KINDS)
    assert labels[50:].tolist() == [NOISE] * 5
    assert all(isinstance(one, Pattern) and 6 <= one.snr <= 8 for one in signals[:50])
    emitters = replace(spec, families="emitters", signals=150, kinds=50)
    drawn, names = draw_signals(emitters, 0, np.random.default_rng(0))
    again, _ = draw_signals(emitters, 0, np.random.default_rng(1))
    assert len(set(names[:150])) == 50
    for first, second in zip(drawn[:50], drawn[50:100], strict=True):
        assert isinstance(first, Pattern)
        assert isinstance(second, Pattern)
        assert first.traits().spacing_hz == second.traits().spacing_hz
        assert first.traits().drift_hz_per_s == pytest.approx(second.traits().drift_hz_per_s, rel=0.25)
    # another seed of the windows draws other members of the same families
    assert [one.traits().spacing_hz for one in drawn[:50]] == [one.traits().spacing_hz for one in again[:50]]
    assert [one.snr for one in drawn[:50]] != [one.snr for one in again[:50]]


def test_sets_of_interference_are_as_large_as_the_others() -> None:
    assert {one.signals + one.unrelated + one.noise for one in INTERFERENCE_SETS} == {2048}
    assert not {(one.name, one.snr) for one in INTERFERENCE_SETS} & {(one.name, one.snr) for one in SETS}
