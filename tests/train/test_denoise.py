from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest

from pipeline.encoders import load_encoder, spectral
from pipeline.encoders.backend import load_arrays, load_weights
from pipeline.encoders.parts import EMITTER_DIMENSION, KIND_SHARE, join_parts
from pipeline.errors import EncoderError
from pipeline.train import denoise, loop
from pipeline.train.batches import NOISE_KIND, simulate_clear_views, simulate_noise
from pipeline.train.denoise import COSINE_WEIGHT, PICK_WEIGHT, denoising_loss, mean_of_clear
from pipeline.train.spectral import NOISE_WEIGHT, TEMPERATURE
from tests.train.interrupted import Stopped, losses_of

PARTS = (128, 24)


def random_vectors(rng: np.random.Generator, count: int) -> np.ndarray:
    return join_parts(*(rng.standard_normal((count, size)).astype(np.float32) for size in PARTS), np)


def test_the_loss_is_that_of_a_naive_loop():
    rng, emitters = np.random.default_rng(3), 3
    made, aims = random_vectors(rng, 14), random_vectors(rng, 14)
    kinds = np.array([5, 5, 7] * 4 + [NOISE_KIND] * 2)  # two emitters are of one kind

    def cosine(a, b):
        return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    def weight(i, j):
        if kinds[j] == NOISE_KIND:
            return NOISE_WEIGHT
        is_same = j % emitters == i % emitters
        return float(is_same or kinds[j] != kinds[i])

    picks = []
    for i in range(12):
        odds = {j: weight(i, j) * math.exp(cosine(made[i, :128], made[j, :128]) / TEMPERATURE)
                for j in range(14) if j != i}
        partners = [j for j in range(12) if j != i and j % emitters == i % emitters]
        picks.append(-np.mean([math.log(odds[j] / sum(odds.values())) for j in partners]))
    expected = (np.mean([((a - b) ** 2).sum() for a, b in zip(made, aims, strict=True)])
                + COSINE_WEIGHT * np.mean([(cosine(made[i], made[j]) - cosine(aims[i], aims[j])) ** 2
                                           for i in range(14) for j in range(14)])
                + PICK_WEIGHT * np.mean(picks))
    lesson = np.column_stack([aims, kinds.astype(np.float32)])
    assert float(denoising_loss(made, lesson, emitters)) == pytest.approx(expected, rel=1e-4)


def test_every_view_learns_the_mean_of_the_clear_ones():
    one = random_vectors(np.random.default_rng(4), 7)  # three emitters, seen twice, and noise
    made = mean_of_clear(one, 3)
    assert made.shape == (13, sum(PARTS))
    for view in range(4):
        np.testing.assert_array_equal(made[3 * view : 3 * view + 3], made[:3])
    np.testing.assert_array_equal(made[12:], one[6:])
    np.testing.assert_allclose(made[:3, EMITTER_DIMENSION:],
                               (one[:3, EMITTER_DIMENSION:] + one[3:6, EMITTER_DIMENSION:]) / 2, rtol=1e-5)
    lengths = np.linalg.norm(made[:3, :EMITTER_DIMENSION], axis=1)
    np.testing.assert_allclose(lengths, (1 - KIND_SHARE) ** 0.5, rtol=1e-5)


def test_clear_views_show_more_than_the_others():
    views = simulate_clear_views(1, 0, emitters=40, noise_windows=9)
    assert views.cutouts.shape == (169, 16, 256)
    assert (views.kinds[160:] == NOISE_KIND).all()
    rows = views.kinds[:160].reshape(4, 40)
    assert (rows == rows[0]).all()
    brightness = np.percentile(views.cutouts[:160].reshape(4, 40, -1), 99.5, axis=2)
    assert brightness[:2].mean() > brightness[2:].mean() + 10
    np.testing.assert_array_equal(views.cutouts, simulate_clear_views(1, 0, 40, 9).cutouts)
    assert not np.array_equal(views.cutouts[:40], simulate_clear_views(1, 1, 40, 9).cutouts[:40])


taught = partial(losses_of, denoise.train, steps=6, emitters=8, noise_windows=4)


@pytest.mark.slow
def test_a_training_that_is_resumed_makes_the_same_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "STEPS_PER_CHECKPOINT", 2)
    monkeypatch.setattr(denoise, "LEARNING_RATE", 1e-4)
    monkeypatch.setattr(denoise, "NOISE_BLOCKS", 10)
    at_once, in_two = tmp_path / "at_once.npz", tmp_path / "in_two.npz"
    losses = taught(at_once, seed=2)
    with pytest.raises(Stopped):
        taught(in_two, stop_after=5, seed=2)  # step 5 is lost: the last checkpoint is that of step 4
    with pytest.raises(EncoderError, match=r"in_two\.checkpoint\.npz: belongs to a training with seed 2, not 3"):
        taught(in_two, seed=3)
    np.testing.assert_allclose(taught(in_two, seed=2), losses[4:], rtol=1e-3)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["at_once.npz", "in_two.npz"]
    expected, found = load_arrays(at_once, "spectral"), load_arrays(in_two, "spectral")
    for key in expected:
        np.testing.assert_allclose(found[key], expected[key], atol=1e-3, rtol=1e-3, err_msg=key)
    encoder = load_encoder("spectral", weights=str(at_once))
    assert encoder.spec.version == 4
    model = spectral.build(4)
    load_weights(at_once, model, "spectral")
    noise = np.concatenate([simulate_noise(2, block, 64) for block in range(100, 110)])
    left = model.predict_on_batch(spectral.inputs(noise)).mean(axis=0)
    # what windows of noise have in common is subtracted
    assert np.linalg.norm(left) < 0.25 * np.linalg.norm(model.get_layer("join").centre)
