"""Spacings of frequencies, against a scrambled null."""

from __future__ import annotations

import numpy as np

from pipeline.families.spacing import DRAWINGS, spacing_of

WIDTH_MHZ = 0.0007
RNG = np.random.default_rng(1)
EVERY = [np.sort(1400 + 10 * RNG.random(400)) for _ in range(4)]
"""Frequencies with any signal in four scans."""


def with_signals(frequencies: list[np.ndarray]) -> list[np.ndarray]:
    return [np.concatenate([every, one]) for every, one in zip(EVERY, frequencies, strict=True)]


def test_a_comb_with_missing_teeth_is_found_although_each_scan_shifts_it() -> None:
    teeth = [1400.2 + 0.013 * scan + 0.25 * RNG.choice(38, 12, replace=False) for scan in range(4)]
    found = spacing_of(teeth, with_signals(teeth), WIDTH_MHZ)
    assert found.is_comb
    assert found.p == 1 / (DRAWINGS + 1)
    assert found.spacing_mhz is not None
    assert abs(found.spacing_mhz - 0.25) < 0.002
    assert sum(found.counts) > 0
    assert len(found.edges_mhz) == len(found.counts) + 1 == len(found.expected) + 1


def test_scattered_frequencies_have_no_spacing_more_often_than_chance_allows() -> None:
    convincing = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        some = [rng.choice(every, 10, replace=False) for every in EVERY]
        convincing += spacing_of(some, EVERY, WIDTH_MHZ, seed).is_comb
    assert convincing <= 3  # of 40, where 0.4 are expected


def test_clustered_frequencies_are_no_comb_if_all_signals_cluster_there() -> None:
    rng = np.random.default_rng(5)
    every = [np.concatenate([1401 + 0.05 * rng.random(200), 1407 + 0.05 * rng.random(200)]) for _ in range(4)]
    some = [rng.choice(one, 12, replace=False) for one in every]
    assert not spacing_of(some, every, WIDTH_MHZ).is_comb


def test_too_few_frequencies_say_so() -> None:
    found = spacing_of([np.array([1400.0])], [EVERY[0]], WIDTH_MHZ)
    assert (found.spacing_mhz, found.p, found.is_comb) == (None, None, False)
    assert "too few" in str(found)
    assert found.to_json()["counts"] == []
    assert spacing_of([], [], WIDTH_MHZ).scans == 0
