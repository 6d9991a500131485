"""Kinds of real interference: all can be drawn, and their patterns are as the tables say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipeline.errors import ConfigError
from pipeline.filterbank import open_filterbank
from pipeline.simulate import (
    FAMILIES,
    FINE,
    KINDS,
    UNSEEN,
    Lines,
    Pattern,
    fine_header,
    random_pattern,
    scatter,
    simulate_file,
    simulate_kinds,
)

LABELS = {
    "carrier", "carrier+gain-steps", "comb36", "comb36-drift-up", "comb36-drift-down", "dashed-drift-comb",
    "woven-comb", "hooked-comb", "drift-stripes", "chirp-bundle", "hatching", "banded", "dense-lines", "fine-comb",
    "comb53", "line-triplets", "drift-line-groups", "pulsed-comb", "burst-flat", "burst-modulated",
    "burst-fine-lines", "burst-hooks", "gain-steps", "fuzzy-patch", "narrow-drift",
}
"""Names that a person gave to the kinds of real windows."""


def test_the_kinds_are_those_that_were_found() -> None:
    assert {kind.label or kind.name for kind in KINDS.values()} == LABELS


def test_no_kind_has_the_name_of_a_family() -> None:
    assert not set(KINDS) & {*FAMILIES, *UNSEEN, "random"}


def test_each_kind_is_drawn_and_can_be_seen() -> None:
    power, patterns = simulate_kinds(np.random.default_rng(0), 6)
    assert power.shape == (6 * len(KINDS), 16, 256)
    assert np.isfinite(power).all()
    assert power.min() > 0
    peaks = ((power - 1) / FINE.sigma).max(axis=(1, 2))
    for pattern, peak in zip(patterns, peaks, strict=True):
        low, high = KINDS[pattern.kind].snr
        assert low <= pattern.snr <= high
        assert peak > 4.5


def test_parameters_of_a_kind_lie_in_its_ranges() -> None:
    rng = np.random.default_rng(1)
    for _ in range(40):
        up, down = (random_pattern(rng, f"comb36-drift-{way}").traits() for way in ("up", "down"))
        assert 0.06 <= up.drift_hz_per_s <= 0.34
        assert -0.38 <= down.drift_hz_per_s <= -0.17
        assert 99.5 <= up.spacing_hz <= 101.5
        assert random_pattern(rng, "hatching").traits().lines_per_khz > 35


def test_varied_patterns_are_mirrored_and_stretched() -> None:
    rng = np.random.default_rng(5)
    traits = [random_pattern(rng, "comb36-drift-up", is_varied=True).traits() for _ in range(60)]
    assert 15 < sum(one.drift_hz_per_s < 0 for one in traits) < 45
    assert min(one.spacing_hz for one in traits) < 65
    assert max(one.spacing_hz for one in traits) > 150


def test_combs_that_belong_together_have_the_same_spacing() -> None:
    rng = np.random.default_rng(2)
    for _ in range(20):
        lines = [part for part in random_pattern(rng, "woven-comb").parts if isinstance(part, Lines)]
        assert len(lines) == 3
        assert len({part.spacing_hz for part in lines}) == 1


def test_an_unknown_kind_is_named_with_those_that_exist() -> None:
    with pytest.raises(ConfigError, match=r"no kind of interference 'comb37'.*comb36"):
        random_pattern(np.random.default_rng(0), "comb37")
    assert random_pattern(np.random.default_rng(0)).kind in KINDS


def test_a_file_holds_patterns_where_the_truth_says(tmp_path: Path) -> None:
    header = fine_header(coarse_width=2**16, coarse_channels=2, nsamples=32)
    placed = scatter(np.random.default_rng(3), header, count=6, families=["banded", "steady"], coarse_width=2**16,
                     snr=(50, 60))
    assert [one.signal.name for one in placed] == ["banded", "steady"] * 3
    truth = simulate_file(tmp_path / "sim.h5", header, placed, coarse_width=2**16)
    assert len(truth) == 6
    with open_filterbank(tmp_path / "sim.h5") as filterbank:
        power = filterbank.read(0, 32, 0, 2**17)
    for one in truth:
        rows, channels = slice(one.spectrum_start, one.spectrum_stop), slice(one.channel_start, one.channel_stop)
        beside = slice(one.channel_stop + 300, one.channel_stop + 600)
        assert power[rows, channels].max() > 3 * np.median(power[rows, beside])
        if isinstance(one.placed.signal, Pattern):
            assert one.channel_stop - one.channel_start <= 256
            assert one.spectrum_stop - one.spectrum_start <= 16
            outside = np.delete(power[:, channels], range(one.spectrum_start, one.spectrum_stop), axis=0)
            assert outside.max() < 2 * np.median(power[:, beside])
