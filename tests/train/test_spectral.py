from __future__ import annotations

import numpy as np
import pytest

from pipeline.encoders import load_encoder, spectral
from pipeline.encoders.backend import load_weights, save_weights
from pipeline.errors import ConfigError
from pipeline.train import train
from pipeline.train.batches import simulate_pairs, simulate_singles
from pipeline.train.spectral import TEMPERATURE, contrastive_loss
from pipeline.train.spectral import train as teach


def test_two_views_share_their_signal_and_noise_comes_last():
    windows = simulate_pairs(3, 0, pairs=6, noise_windows=4)
    assert windows.shape == (16, 16, 256)
    assert windows.dtype == np.uint8
    np.testing.assert_array_equal(windows, simulate_pairs(3, 0, pairs=6, noise_windows=4))
    for other in (simulate_pairs(3, 1, 6, 4), simulate_pairs(4, 0, 6, 4)):
        assert not np.array_equal(windows, other)
    assert not np.array_equal(windows[:6], windows[6:12])
    # a plain power spectrum is enough to find many of the partners
    windows = simulate_pairs(5, 0, pairs=64, noise_windows=0)
    vectors = load_encoder("power-spectrum").encode(windows)
    likeness = vectors[:64] @ vectors[64:].T
    assert (likeness.argmax(axis=1) == np.arange(64)).mean() > 0.3  # by chance: 1 in 64


def test_windows_without_partners_are_signals_and_an_eighth_of_noise():
    windows = simulate_singles(0, 0, 16)
    assert windows.shape == (16, 16, 256)
    bright = np.sort(windows.reshape(16, -1), axis=1)[:, -3]
    assert np.median(bright[:14]) > bright[14:].max()


def test_contrast_is_the_loss_of_a_naive_loop():
    rng = np.random.default_rng(6)
    vectors = rng.standard_normal((9, 5)).astype(np.float32)  # 3 pairs, 3 windows of noise
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    expected = []
    for asked in range(6):
        others = [k for k in range(9) if k != asked]
        odds = np.exp([unit[asked] @ unit[k] / TEMPERATURE for k in others])
        expected.append(-np.log(odds[others.index((asked + 3) % 6)] / odds.sum()))
    assert float(contrastive_loss(vectors, 3)) == pytest.approx(np.mean(expected), rel=1e-4)


@pytest.mark.slow
def test_a_few_steps_lower_the_loss_and_the_weights_come_back(tmp_path):
    told: list[tuple[int, float]] = []
    out = tmp_path / "spectral.npz"
    teach(out, steps=30, pairs=24, seed=1, on_step=lambda step, loss: told.append((step, loss)))

    assert [step for step, _ in told] == list(range(1, 31))
    losses = [loss for _, loss in told]
    assert np.mean(losses[-6:]) < np.mean(losses[:6]) - 0.1
    assert [path.name for path in tmp_path.iterdir()] == ["spectral.npz"]
    windows = simulate_pairs(2, 0, 8, 0)
    encoder = load_encoder("spectral", weights=str(out))
    vectors = encoder.encode(windows)
    again = tmp_path / "again.npz"
    model = spectral.build()
    load_weights(out, model, "spectral")
    save_weights(again, model)
    assert again.read_bytes() == out.read_bytes()
    np.testing.assert_allclose(load_encoder("spectral", weights=str(again)).encode(windows), vectors, atol=1e-6)


@pytest.mark.parametrize(("name", "steps", "said"), [
    ("resnet50", 1, "'resnet50' cannot be trained"),
    ("spectral", 0, "at least one step"),
])
def test_what_cannot_be_trained_is_refused(tmp_path, name, steps, said):
    with pytest.raises(ConfigError, match=said):
        train(name, tmp_path / "x.npz", steps=steps)
