"""The published protocol: injections with setigen, classes, and the scores of known vectors."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from pipeline.errors import ConfigError
from pipeline.evaluate import published
from pipeline.evaluate.published import (
    PROPERTIES,
    PublishedSets,
    class_injections,
    evaluate_published,
    inject,
    measure_clusters,
    property_injections,
    random_vectors,
)
from pipeline.grid.cutouts import power_of_cutouts, quantise
from pipeline.simulate.signals import FINE
from pipeline.simulate.windows import FINE_GRID

SIGMA = FINE.sigma


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_a_line_is_as_bright_as_wide_and_as_steep_as_asked_for() -> None:
    """Check that the SNR is that of the whole track, √16 times the SNR per bin, and the width is at half maximum."""
    line = published._Line(drift_hz_per_s=-0.7, snr=120.0, width_hz=40.0, place=150)
    background = 1 + SIGMA * rng().standard_normal((1, 16, 256)).astype(np.float32)
    [cutout] = inject(rng(), [line], background)
    times_s = np.arange(16)[:, None] * FINE.tsamp_s
    centre = 150 + line.drift_hz_per_s * times_s / FINE.channel_width_hz
    offset_hz = (np.arange(256) - centre) * FINE.channel_width_hz
    excess = (120 / 4) * SIGMA * np.exp(-4 * np.log(2) * (offset_hz / 40) ** 2)
    found = power_of_cutouts(cutout[None], 1.0, SIGMA)[0]
    # setigen sets the level by its own estimate of the noise, which is a few per cent too low because it clips
    np.testing.assert_allclose(found - background[0], excess, atol=0.06 * excess.max() + 0.01)


def test_noise_is_that_of_the_fine_product() -> None:
    cutouts = inject(rng(), [published._Line(0, 1e-6, 20, 100)] * 20, None)
    power = power_of_cutouts(cutouts, 1.0, SIGMA)
    assert power.mean() == pytest.approx(1, abs=0.01)
    assert power.std() == pytest.approx(SIGMA, rel=0.03)


def test_classes_share_a_line_and_busy_ones_have_interference(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def spy(rng: np.random.Generator, lines: list, backgrounds: np.ndarray | None) -> np.ndarray:
        seen.append((lines, backgrounds))
        return np.zeros((len(lines), 16, 256), np.uint8)

    monkeypatch.setattr(published, "inject", spy)
    injected = class_injections(rng(), 8, busy=True, classes=30)
    assert injected.cutouts.shape == (240, 16, 256)
    assert injected.labels.tolist() == np.repeat(np.arange(30), 8).tolist()
    for lines, backgrounds in seen:
        assert len({(one.drift_hz_per_s, one.snr, one.width_hz) for one in lines}) == 1
        assert len({one.place for one in lines}) > 1
        assert min(one.place for one in lines) >= 50
        assert max(one.place for one in lines) <= 180
        assert 100 <= lines[0].snr <= 150
        assert 20 <= lines[0].width_hz <= 50
        assert abs(lines[0].drift_hz_per_s) <= 2
        assert backgrounds is not None
    drifts = [lines[0].drift_hz_per_s for lines, _ in seen]
    assert min(drifts) < 0 < max(drifts)
    brightest = np.array([backgrounds.max() for _, backgrounds in seen])
    assert (brightest > 1 + 6 * SIGMA).mean() > 0.9
    seen.clear()
    class_injections(rng(), 8, busy=False, classes=3)
    assert [backgrounds for _, backgrounds in seen] == [None] * 3


def test_each_set_of_properties_has_one_in_common(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = []
    monkeypatch.setattr(published, "inject", lambda rng, lines, backgrounds: kept.extend(lines) or np.zeros(
        (len(lines), 16, 256), np.uint8))
    injected = property_injections(rng(), 40)
    assert injected.labels.tolist() == np.repeat(np.arange(4), 40).tolist()
    for k, _ in enumerate(PROPERTIES):
        lines = kept[40 * k : 40 * (k + 1)]
        different = [len({getattr(one, name) for one in lines})
                     for name in ("drift_hz_per_s", "snr", "width_hz", "place")]
        assert [count == 1 for count in different] == [name == PROPERTIES[k] for name in PROPERTIES]
    assert all(20 <= one.snr <= 70 and 20 <= one.width_hz <= 70 for one in kept)


def test_scores_of_vectors_that_say_everything_and_nothing() -> None:
    clean, busy = (class_injections(rng(k), 6, busy=bool(k), classes=5) for k in (0, 1))
    sets = PublishedSets(clean, busy, property_injections(rng(2), 40))
    every = {id(one.cutouts): one.labels for one in (sets.clean, sets.busy, sets.properties)}

    def knowing(cutouts: np.ndarray) -> np.ndarray:
        labels = every[id(cutouts)]
        vectors = np.eye(5, dtype=np.float32)[labels] + 1e-3 * rng(3).random((len(labels), 5), np.float32)
        if len(labels) == 160:  # the shared property is a component that does not vary
            vectors = rng(4).random((160, 4), np.float32)
            vectors[np.arange(160), labels] = 0.5
        return vectors

    found = evaluate_published(knowing, sets)
    assert found.clean.silhouette > 0.99
    assert found.busy.silhouette_cosine > 0.99
    assert found.disentanglement > 0.95
    assert abs(evaluate_published(random_vectors, sets).clean.silhouette) < 0.1


def test_random_vectors_are_of_unit_length_and_the_same_again() -> None:
    cutouts = np.zeros((200, 16, 256), np.uint8)
    vectors = random_vectors(cutouts)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert np.array_equal(vectors, random_vectors(cutouts))
    assert measure_clusters(vectors, np.repeat(np.arange(20), 10)).silhouette < 0.02


def test_without_setigen_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "setigen", None)
    with pytest.raises(ConfigError, match=r"needs setigen.*pip install 'lookalike\[evaluate\]'"):
        class_injections(rng(), 1, busy=False, classes=1)


def test_cutouts_are_quantised_as_a_scan_does() -> None:
    background = np.ones((1, *((FINE_GRID.integrations, FINE_GRID.channels))), np.float32)
    background += SIGMA * rng().standard_normal(background.shape).astype(np.float32)
    [cutout] = inject(rng(), [published._Line(0, 1e-9, 20, 100)], background)
    assert np.array_equal(cutout, quantise(background[0], SIGMA))
