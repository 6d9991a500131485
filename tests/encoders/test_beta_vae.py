"""The β-VAE with random weights: these tests check what it computes, not how well it retrieves."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest

from pipeline.encoders import backend, beta_vae, load_encoder
from pipeline.encoders.beta_vae import BetaVae, build, inputs
from pipeline.errors import EncoderError
from pipeline.grid.cutouts import cutouts_of_power, image_of_cutouts
from pipeline.model import WindowGrid
from pipeline.simulate import simulate_families

GRID = WindowGrid()
SMALL = WindowGrid(64, 64, 4)


@pytest.fixture(scope="module")
def cutouts():
    power, _ = simulate_families(np.random.default_rng(1), 1, families=("rising", "comb", "hump"))
    return np.concatenate([cutouts_of_power(power), np.zeros((1, 16, 256), np.uint8)])


@pytest.fixture(scope="module")
def network():
    """Build a network whose moving averages are random, like its other weights."""
    backend.keras().utils.set_random_seed(7)
    encoder, trainable = build(GRID)
    rng = np.random.default_rng(8)
    for variable in encoder.non_trainable_variables:
        variable.assign(rng.uniform(0.5, 1.5, variable.shape))
    return encoder, trainable


@pytest.fixture(scope="module")
def weights(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "beta-vae.npz"
    backend.save_weights(path, network[0])
    return path


@pytest.fixture(scope="module")
def encoder(weights):
    return BetaVae(GRID, str(weights), batch=4)


def test_network_has_as_many_parameters_as_the_published_one(network):
    _, trainable = network
    assert trainable.posterior.count_params() == 4_485_812
    assert trainable.decoder.count_params() == 4_706_369
    convolutions = [layer for layer in network[0].layers if hasattr(layer, "filters")]
    assert [layer.filters for layer in convolutions] == [32, 64, 64, 128, 128]
    assert trainable.decoder.output_shape == (None, 16, 256, 1)


def test_input_is_scaled_by_its_own_range(cutouts):
    seen = inputs(cutouts)
    assert seen.shape == (4, 16, 256, 1)
    assert seen.dtype == np.float32
    for picture, cutout in zip(seen[:3, :, :, 0], cutouts, strict=False):
        image = image_of_cutouts(cutout).astype(np.float64)
        np.testing.assert_allclose(picture, (image - image.min()) / (image.max() - image.min()), atol=1e-6)
    assert not seen[3].any()


def test_loss_is_cross_entropy_and_weighted_divergence():
    rng = np.random.default_rng(4)
    images, logits = rng.random((3, 4, 32, 1)), rng.normal(size=(3, 4, 32, 1))
    mean, log_variance = rng.normal(size=(3, 10)), rng.normal(size=(3, 10))
    expected = 0.0
    for i in range(3):
        for seen, logit in zip(images[i].ravel(), logits[i].ravel(), strict=True):
            drawn = 1 / (1 + np.exp(-logit))
            expected -= seen * np.log(drawn) + (1 - seen) * np.log(1 - drawn)
        for m, v in zip(mean[i], log_variance[i], strict=True):
            expected += beta_vae.BETA / 10 * (m**2 + np.exp(v) - 1 - v) / 2
    arrays = [array.astype(np.float32) for array in (images, logits, mean, log_variance)]
    assert float(beta_vae.loss(*arrays)) == pytest.approx(expected / 3, rel=1e-5)
    nothing_to_say = np.zeros((3, 10), np.float32)
    assert 8 <= beta_vae.BETA <= 10
    assert float(beta_vae.loss(arrays[0], arrays[1], nothing_to_say, nothing_to_say)) < expected / 3


def test_saved_weights_give_the_network_back(encoder, network, weights, cutouts):
    latent = backend.keras().ops.convert_to_numpy(network[0](inputs(cutouts), training=False)).astype(np.float64)
    expected = latent / np.linalg.norm(latent, axis=1, keepdims=True)
    np.testing.assert_allclose(encoder.encode(cutouts), expected, atol=encoder.spec.tolerance, rtol=0)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    assert encoder.spec.key == f"beta-vae-v1-{digest[:8]}"
    assert (encoder.spec.dimension, encoder.spec.input) == (10, "cutout-v1 16x256")
    assert load_encoder("beta-vae", weights=str(weights)).spec == encoder.spec


def test_vectors_are_finite_and_independent_of_the_batch(encoder, cutouts):
    together = encoder.encode(cutouts)
    assert together.shape == (4, 10)
    assert together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)
    apart = np.concatenate([encoder.encode(cutouts[:1]), encoder.encode(cutouts[1:])])
    np.testing.assert_allclose(apart, together, atol=1e-5, rtol=0)
    assert np.abs(together[0] - together[1]).max() > 1e-3
    assert encoder.encode(cutouts[:0]).shape == (0, 10)


def test_missing_weights_say_how_to_make_them(monkeypatch, tmp_path):
    monkeypatch.setattr(beta_vae, "SHIPPED", tmp_path / "beta-vae.npz")
    with pytest.raises(EncoderError, match=r"lookalike train beta-vae.*--weights FILE"):
        BetaVae(GRID)
    with pytest.raises(EncoderError, match=r"none\.npz: .*No such file"):
        BetaVae(GRID, str(tmp_path / "none.npz"))


def test_shipped_weights_are_used_where_none_are_given(monkeypatch, weights, encoder):
    monkeypatch.setattr(beta_vae, "SHIPPED", weights)
    assert BetaVae(GRID).spec == encoder.spec


def test_files_of_something_else_are_named(tmp_path, weights):
    text, other = tmp_path / "text.npz", tmp_path / "other.npz"
    text.write_text("no weights")
    np.savez(other, kernel=np.zeros(3))
    for path in (text, other):
        with pytest.raises(EncoderError, match=rf"{path.name}: .*beta-vae"):
            BetaVae(GRID, str(path))
    with pytest.raises(EncoderError, match=r"beta-vae\.npz: .*lookalike train beta-vae"):
        BetaVae(SMALL, str(weights))  # made for other windows


def test_other_shapes_are_refused(encoder):
    with pytest.raises(EncoderError, match=r"\(n, 16, 256\)"):
        encoder.encode(np.zeros((1, 256, 16), np.uint8))
    with pytest.raises(EncoderError, match="multiple of 32, not 100"):
        build(WindowGrid(100, 100, 16))


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("jax") is None, reason="jax is not installed")
def test_jax_makes_the_same_vectors(encoder, weights, cutouts, tmp_path):
    np.save(tmp_path / "cutouts.npy", cutouts)
    program = (
        "import sys, numpy as np\n"
        "from pipeline.encoders import load_encoder\n"
        "folder, weights = sys.argv[1:]\n"
        "vectors = load_encoder('beta-vae', weights=weights).encode(np.load(folder + '/cutouts.npy'))\n"
        "import keras\n"
        "assert keras.backend.backend() == 'jax'\n"
        "np.save(folder + '/vectors.npy', vectors)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(tmp_path), str(weights)], check=True,
                   env={**os.environ, "KERAS_BACKEND": "jax"})
    np.testing.assert_allclose(np.load(tmp_path / "vectors.npy"), encoder.encode(cutouts), atol=1e-4, rtol=0)
