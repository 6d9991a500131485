from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from pipeline.encoders import load_encoder, spectral
from pipeline.encoders.backend import load_arrays, load_weights, save_weights
from pipeline.errors import ConfigError, EncoderError
from pipeline.simulate import KINDS
from pipeline.train import loop, train
from pipeline.train import spectral as training
from pipeline.train.batches import (
    NOISE_KIND,
    NOISE_WINDOWS_PER_STEP,
    WINDOWS_PER_KIND,
    simulate_kind_views,
    simulate_singles,
    simulate_views,
)
from pipeline.train.spectral import KIND_TEMPERATURE, KIND_WEIGHT, NOISE_WEIGHT, TEMPERATURE, graded_loss
from tests.train.interrupted import Stopped, losses_of


def test_two_views_share_their_emitter_and_noise_comes_last():
    views = simulate_views(3, 0, pairs=6, noise_windows=4)
    windows = views.cutouts
    assert windows.shape == (16, 16, 256)
    assert windows.dtype == np.uint8
    assert (views.kinds[12:] == NOISE_KIND).all()
    np.testing.assert_array_equal(views.kinds[:6], views.kinds[6:12])
    again = simulate_views(3, 0, pairs=6, noise_windows=4)
    np.testing.assert_array_equal(windows, again.cutouts)
    np.testing.assert_array_equal(views.kinds, again.kinds)
    for other in (simulate_views(3, 1, 6, 4), simulate_views(4, 0, 6, 4)):
        assert not np.array_equal(windows, other.cutouts)
    assert not np.array_equal(windows[:6], windows[6:12])
    # a plain power spectrum is enough to find many of the partners
    windows = simulate_views(5, 0, pairs=64, noise_windows=0).cutouts
    vectors = load_encoder("power-spectrum").encode(windows)
    likeness = vectors[:64] @ vectors[64:].T
    assert (likeness.argmax(axis=1) == np.arange(64)).mean() > 0.2  # by chance: 1 in 64


def test_patterns_share_kinds_and_signals_do_not():
    kinds = simulate_views(1, 0, pairs=100, noise_windows=0).kinds[:100]
    patterns, signals = kinds[:50], kinds[50:]
    assert len(set(signals)) == 50
    assert not set(signals) & set(patterns)
    shared = patterns[patterns < len(KINDS)]  # the others are stretched: each is the only one of its kind
    assert 25 <= len(shared) < 50
    assert len(set(shared)) < len(shared)


def test_steps_of_the_gain_make_no_other_kind():
    views = simulate_kind_views(0, 0)
    of_name = dict(zip(KINDS, views.kinds[:len(KINDS) * WINDOWS_PER_KIND:WINDOWS_PER_KIND].tolist(), strict=True))
    assert of_name.pop("carrier+gain-steps") == of_name["carrier"]
    assert len(set(of_name.values())) == len(KINDS) - 1
    assert (views.kinds[len(KINDS) * WINDOWS_PER_KIND:] == NOISE_KIND).all()
    assert len(views.cutouts) == len(views.kinds)


def test_windows_without_partners_are_signals_and_an_eighth_of_noise():
    windows = simulate_singles(0, 0, 16)
    assert windows.shape == (16, 16, 256)
    bright = np.sort(windows.reshape(16, -1), axis=1)[:, -3]
    assert np.median(bright[:14]) > bright[14:].max()


def picked(part, wanted, kinds, temperature):
    """The cross-entropy of picking wanted windows, in a naive loop."""
    unit = part / np.linalg.norm(part, axis=1, keepdims=True)
    losses = []
    for asked, partners in enumerate(wanted):
        others = [k for k in range(len(unit)) if k != asked]
        odds = [np.exp(unit[asked] @ unit[k] / temperature) * (NOISE_WEIGHT if kinds[k] == NOISE_KIND else 1)
                for k in others]
        losses.append(np.mean([-np.log(odds[others.index(k)] / sum(odds)) for k in partners]))
    return np.mean(losses)


def test_the_loss_is_that_of_a_naive_loop():
    rng = np.random.default_rng(6)
    vectors = rng.standard_normal((9, 152)).astype(np.float32)  # 3 pairs, 3 windows of noise
    kinds = np.array([4, 4, 9, 4, 4, 9, *[NOISE_KIND] * 3], np.int32)
    emitters = picked(vectors[:, :128], [[(k + 3) % 6] for k in range(6)], kinds, TEMPERATURE)
    shapes = picked(vectors[:, 128:], [[1, 3, 4], [0, 3, 4], [5], [0, 1, 4], [0, 1, 3], [2]], kinds, KIND_TEMPERATURE)
    expected = emitters + KIND_WEIGHT * shapes
    assert float(graded_loss(vectors, kinds, 3)) == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
def test_a_few_steps_lower_the_loss_and_the_weights_come_back(tmp_path):
    told: list[tuple[int, float]] = []
    out = tmp_path / "spectral.npz"
    training.train(out, steps=30, pairs=24, blocks=1, seed=1, on_step=lambda step, loss: told.append((step, loss)))

    assert [step for step, _ in told] == list(range(1, 31))
    losses = [loss for _, loss in told]
    assert np.mean(losses[-6:]) < np.mean(losses[:6]) - 0.1
    assert [path.name for path in tmp_path.iterdir()] == ["spectral.npz"]
    windows = simulate_views(2, 0, 8, 0).cutouts
    encoder = load_encoder("spectral", weights=str(out))
    assert (encoder.spec.version, encoder.spec.dimension) == (2, 152)
    vectors = encoder.encode(windows)
    again = tmp_path / "again.npz"
    model = spectral.build()
    load_weights(out, model, "spectral")
    save_weights(again, model)
    assert again.read_bytes() == out.read_bytes()
    np.testing.assert_allclose(load_encoder("spectral", weights=str(again)).encode(windows), vectors, atol=1e-6)


taught = partial(losses_of, training.train, steps=5, pairs=4, blocks=1, seed=2)


@pytest.mark.slow
def test_a_training_that_is_resumed_makes_the_same_weights(tmp_path, monkeypatch, uncompiled):
    monkeypatch.setattr(loop, "STEPS_PER_CHECKPOINT", 2)
    at_once, in_two = tmp_path / "at_once.npz", tmp_path / "in_two.npz"
    losses = taught(at_once)
    with pytest.raises(Stopped):
        taught(in_two, stop_after=3)  # step 3 is lost: the last checkpoint is that of step 2
    assert not in_two.exists()
    with pytest.raises(EncoderError, match=r"in_two\.checkpoint\.npz: belongs to a training with seed 2, not 3"):
        training.train(in_two, steps=5, pairs=4, seed=3, on_step=lambda step, loss: None)
    np.testing.assert_allclose(taught(in_two), losses[2:], rtol=1e-4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["at_once.npz", "in_two.npz"]
    expected, found = load_arrays(at_once, "spectral"), load_arrays(in_two, "spectral")
    first = load_arrays(spectral.SHIPPED[1], "spectral")
    moved = 0.0
    for key in expected:
        np.testing.assert_allclose(found[key], expected[key], atol=1e-3, rtol=1e-3, err_msg=key)
        if key in first:
            moved = max(moved, float(np.abs(expected[key] - first[key]).max()))
    assert moved > 1e-3  # it did learn


@pytest.mark.parametrize(("name", "steps", "said"), [
    ("resnet50", 1, "'resnet50' cannot be trained"),
    ("beta-vae", 0, "at least one step"),
    ("spectral", -1, "at least 0 steps"),
])
def test_what_cannot_be_trained_is_refused(tmp_path, name, steps, said):
    with pytest.raises(ConfigError, match=said):
        train(name, tmp_path / "x.npz", steps=steps)


@pytest.mark.parametrize(("name", "version"), [("spectral", 1), ("spectral", 5), ("beta-vae", 3)])
def test_a_version_that_cannot_be_trained_is_refused(tmp_path, name, version):
    with pytest.raises(ConfigError, match=f"version {version} of {name} cannot be trained; these can: 2, 3 and 4"):
        train(name, tmp_path / "x.npz", version=version)


def test_a_step_has_the_stated_noise():
    assert (simulate_views(0, 0, pairs=2).kinds == NOISE_KIND).sum() == NOISE_WINDOWS_PER_STEP
