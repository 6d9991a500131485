from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from pipeline.encoders import load_encoder, spectral
from pipeline.encoders.backend import load_arrays, load_weights
from pipeline.encoders.parts import join_parts
from pipeline.errors import EncoderError
from pipeline.train import distil, loop
from pipeline.train.batches import simulate_views
from pipeline.train.distil import COSINE_WEIGHT, FEATURE_WEIGHT, imitation_loss
from tests.train.interrupted import Stopped, losses_of


def test_the_loss_is_that_of_a_naive_loop():
    rng = np.random.default_rng(2)
    made, wanted = rng.standard_normal((2, 6, 10 + 128 + 24)).astype(np.float32)
    mine, aims = (join_parts(one[:, 10:138], one[:, 138:], np) for one in (made, wanted))
    vectors = np.mean([((a - b) ** 2).sum() for a, b in zip(mine, aims, strict=True)])
    features = np.mean([((made[:, k] - wanted[:, k]) / (wanted[:, k].std() + 1e-3)) ** 2 for k in range(10)])

    def cosine(a, b):
        return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

    cosines = np.mean([(cosine(mine[i], mine[j]) - cosine(aims[i], aims[j])) ** 2 for i in range(6) for j in range(6)])
    expected = vectors + FEATURE_WEIGHT * features + COSINE_WEIGHT * cosines
    assert float(imitation_loss(made, wanted)) == pytest.approx(expected, rel=1e-4)
    assert float(imitation_loss(wanted, wanted)) == pytest.approx(0, abs=1e-5)


taught = partial(losses_of, distil.train, steps=8, pairs=12, blocks=1)


def likeness(network, other, images):
    one, two = (each.predict_on_batch(images) for each in (network, other))
    return ((one * two).sum(axis=1) / np.linalg.norm(one, axis=1) / np.linalg.norm(two, axis=1)).mean()


@pytest.mark.slow
def test_a_training_that_is_resumed_makes_the_same_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "STEPS_PER_CHECKPOINT", 2)
    monkeypatch.setattr(distil, "LEARNING_RATE", 1e-4)
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
    assert load_encoder("spectral", weights=str(at_once)).spec.version == 3


def test_the_shipped_version_3_imitates_version_2():
    networks = [spectral.build(version) for version in (2, 3)]
    for version, network in zip((2, 3), networks, strict=True):
        load_weights(spectral.SHIPPED[version], network, "spectral")
    images = spectral.inputs(simulate_views(5, 0, pairs=60, noise_windows=0).cutouts)
    assert likeness(*networks, images) > 0.92  # two fifths of the windows are weak
