from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.encoders import load_encoder
from pipeline.encoders.power_spectrum import PowerSpectrum, _bands
from pipeline.errors import EncoderError
from pipeline.grid.cutouts import cutouts_of_power, image_of_cutouts, quantise
from pipeline.model import WindowGrid
from pipeline.simulate import (
    NOISE,
    Axes,
    Envelope,
    Signal,
    add_signal,
    noise,
    simulate_families,
    simulate_windows,
    vary,
)

AXES = Axes()


def window(signal, channel, seed=0):
    rng = np.random.default_rng(seed)
    power = noise(rng, (1, 16, 256), AXES)
    add_signal(power[0], signal, axes=AXES, channel=channel, rng=rng)
    return quantise(power, AXES.sigma)


def similarity(a, b):
    encoder = load_encoder("power-spectrum")
    return float((encoder.encode(a) @ encoder.encode(b).T).item())


def naive_vector(cutout):
    """Compute the vector by its definition: a double sum over the window for every frequency, then sums over bands."""
    image = np.maximum(image_of_cutouts(cutout).astype(np.float64) - np.arcsinh(1.5), 0)
    t, f = np.arange(16), np.arange(256)
    draws = np.maximum(np.arcsinh(np.random.default_rng(0).standard_normal(4_000_000)) - np.arcsinh(1.5), 0)
    floor = draws.var() * 16 * 256
    edges = [0, 1, 2, 3, 4, 6, 7, 10, 13, 17, 23, 31, 41, 55, 73, 97, 129]
    by_channel = np.exp(-2j * np.pi * np.outer(f, np.arange(129)) / 256)
    rows = []
    for rate in [*range(8), *range(-8, 0)]:
        power = np.abs(np.exp(-2j * np.pi * rate * t / 16) @ image @ by_channel) ** 2
        rows.append([power[a:b].mean() for a, b in itertools.pairwise(edges)])
    vector = np.sqrt(np.maximum(np.array(rows) / floor - 1, 0)).ravel()
    vector[0] = 0
    return vector / np.linalg.norm(vector)


def test_vector_is_the_banded_power_above_the_noise():
    power, _ = simulate_families(np.random.default_rng(1), 1, families=("rising", "comb", "impulse"))
    cutouts = cutouts_of_power(power)
    vectors = load_encoder("power-spectrum").encode(cutouts)
    for vector, cutout in zip(vectors, cutouts, strict=True):
        np.testing.assert_allclose(vector, naive_vector(cutout), atol=2e-3)


def test_spec_states_shape_and_cutouts():
    spec = load_encoder("power-spectrum").spec
    assert (spec.dimension, spec.input, spec.key) == (256, "cutout-v1 16x256", "power-spectrum-v1")


def test_rising_and_falling_lines_differ():
    rising, falling = (Signal("line", width_hz=4, drift_hz_per_s=d) for d in (0.4, -0.4))
    assert similarity(window(rising, 50), window(rising, 120, 1)) > 0.9
    assert similarity(window(rising, 50), window(falling, 120, 1)) < 0.6


def test_place_and_strength_do_not_matter():
    weak, strong = (Signal("line", snr=snr, width_hz=6, drift_hz_per_s=0.2) for snr in (12, 300))
    assert similarity(window(weak, 40), window(strong, 200, 1)) > 0.85
    shifted = np.roll(window(strong, 100), 31, axis=2)
    assert similarity(window(strong, 100), shifted) == pytest.approx(1, abs=1e-4)


def test_batches_do_not_matter():
    power, _ = simulate_families(np.random.default_rng(2), 25, noise_windows=50)
    cutouts = cutouts_of_power(power)
    encoder = load_encoder("power-spectrum")
    together = encoder.encode(cutouts)
    assert len(cutouts) > 256  # more than one transform takes
    apart = np.concatenate([encoder.encode(cutouts[i : i + 7]) for i in range(0, len(cutouts), 7)])
    np.testing.assert_allclose(together, apart, atol=encoder.spec.tolerance, rtol=0)
    assert encoder.encode(cutouts[:0]).shape == (0, 256)


def test_blank_windows_are_like_each_other_and_like_nothing_else():
    encoder = load_encoder("power-spectrum")
    blank = np.stack([np.zeros((16, 256), np.uint8), np.full((16, 256), 80, np.uint8)])
    others = [window(Signal("line"), 100), window(Signal("none", snr=0), 9)]
    vectors = encoder.encode(np.concatenate([blank, *others]))
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-6)
    assert (vectors[0] == vectors[1]).all()
    np.testing.assert_array_equal(vectors[0] @ vectors[2:].T, 0)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 70),
    st.integers(1, 600),
    st.sampled_from(["zeros", "ones", "full", "random", "one pixel"]),
    st.integers(0, 2**32 - 1),
)
def test_any_window_shape_gives_finite_unit_vectors(spectra, channels, content, seed):
    rng = np.random.default_rng(seed)
    fill = {"zeros": 0, "ones": 1, "full": 255}.get(content, 0)
    cutouts = np.full((2, spectra, channels), fill, np.uint8)
    if content == "random":
        cutouts = rng.integers(0, 256, cutouts.shape, np.uint8)
    elif content == "one pixel":
        cutouts[:, rng.integers(spectra), rng.integers(channels)] = 255
    encoder = PowerSpectrum(WindowGrid(channels, channels, spectra))
    vectors = encoder.encode(cutouts)
    assert vectors.shape == (2, encoder.spec.dimension)
    assert encoder.spec.dimension <= 512
    np.testing.assert_allclose(np.linalg.norm(vectors.astype(np.float64), axis=1), 1, atol=1e-5)


@given(st.integers(0, 100_000), st.integers(1, 40))
def test_bands_cover_every_frequency_once(top, most):
    edges = _bands(top, most)
    assert edges[0] == 1
    assert edges[-1] == top + 1
    assert (np.diff(edges) >= 1).all()
    assert min(top, 1) <= len(edges) - 1 <= most


@pytest.mark.parametrize(
    "cutouts",
    [np.zeros((2, 256, 16), np.uint8), np.zeros((16, 256), np.uint8), np.zeros((1, 16, 256), np.float32)],
)
def test_other_shapes_and_types_are_refused(cutouts):
    with pytest.raises(EncoderError, match=r"\(n, 16, 256\), got (uint8|float32) of shape"):
        load_encoder("power-spectrum").encode(cutouts)


def random_signal(rng, name):
    """Draw a kind of signal: a track, an envelope, a width and a comb."""
    track = rng.choice(["constant", "drifting", "curved"])
    envelope = rng.choice(["steady", "pulsed", "burst", "ramp"])
    drift = rng.choice([-1, 1]) * np.geomspace(0.1, 1.6, 20)[rng.integers(20)] if track == "drifting" else 0.0
    curvature = rng.choice([-1, 1]) * rng.uniform(0.006, 0.02) if track == "curved" else 0.0
    lines = int(rng.integers(1, 6)) if rng.random() < 0.4 else 1
    return Signal(
        name,
        width_hz=rng.uniform(25, 150) if lines == 1 and rng.random() < 0.5 else rng.uniform(2, 9),
        drift_hz_per_s=drift - curvature * rng.uniform(60, 230),
        curvature_hz_per_s2=curvature,
        envelope={
            "steady": Envelope(),
            "pulsed": Envelope("pulsed", rng.uniform(45, 140), rng.uniform(0.3, 0.7)),
            "burst": Envelope("burst", 292.0, rng.uniform(0.1, 0.5)),
            "ramp": Envelope("ramp", 292.0),
        }[envelope],
        spacing_hz=rng.uniform(20, 110),
        amplitudes=tuple(rng.uniform(0.4, 1, lines)),
    )


def retrieval(vectors, labels):
    """Return mean average precision and precision at 5; the queries are the windows that hold a signal."""
    queries = np.flatnonzero(labels != NOISE)
    scores = vectors[queries] @ vectors.T
    scores[np.arange(len(queries)), queries] = -2
    order = np.argsort(-scores, axis=1)[:, :-1]
    right = labels[order] == labels[queries][:, None]
    precision = np.cumsum(right, axis=1) / np.arange(1, right.shape[1] + 1)
    return ((precision * right).sum(axis=1) / right.sum(axis=1)).mean(), right[:, :5].mean()


def unit(features):
    flat = features.reshape(len(features), -1)
    return flat / np.linalg.norm(flat, axis=1, keepdims=True)


def test_finds_variants_among_noise_and_other_kinds():
    rng = np.random.default_rng(20)
    kinds = [random_signal(rng, f"kind {i}") for i in range(24)]
    signals = [vary(rng, kind) for kind in kinds for _ in range(10)] + [None] * 360
    labels = np.array([NOISE if signal is None else signal.name for signal in signals])
    power = simulate_windows(rng, signals, level=1.0)
    cutouts = quantise(power, AXES.sigma)
    image = image_of_cutouts(cutouts)
    raw_map, raw_p5 = retrieval(unit(image), labels)
    plain_map, _ = retrieval(unit(np.abs(np.fft.rfft2(image))[:, :, 1:]), labels)
    our_map, our_p5 = retrieval(load_encoder("power-spectrum").encode(cutouts), labels)
    # measured: raw pixels .20 and .22, spectrum without thresholds .59, this encoder .91 and .93
    assert our_map > 0.88
    assert our_map > plain_map + 0.1
    assert our_p5 > 0.9
    assert our_p5 > 3 * raw_p5
    assert our_map > 3 * raw_map


def test_images_that_were_never_rounded_give_nearly_the_same_vectors():
    power, _ = simulate_families(np.random.default_rng(11), 2)
    cutouts = cutouts_of_power(power)
    encoder = load_encoder("power-spectrum")
    np.testing.assert_array_equal(encoder.encode_images(image_of_cutouts(cutouts)), encoder.encode(cutouts))
