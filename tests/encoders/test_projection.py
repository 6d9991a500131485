from __future__ import annotations

import hashlib
import pickle

import numpy as np
import pytest

from pipeline.encoders import fit, load_encoder, needs_projection
from pipeline.encoders.projection import Projection, fit_projection
from pipeline.errors import ConfigError, EncoderError


@pytest.fixture(scope="module")
def features():
    """Draw features like those of networks: of unequal variance, around a mean far from zero."""
    rng = np.random.default_rng(3)
    turned = np.linalg.qr(rng.normal(size=(20, 20)))[0]
    return (7 + (rng.normal(size=(300, 20)) * np.geomspace(3, 0.1, 20)) @ turned).astype(np.float32)


def test_equals_principal_components_without_whitening(features):
    decomposition = pytest.importorskip("sklearn.decomposition", reason="scikit-learn is not installed")
    oracle = decomposition.PCA(6, whiten=False, svd_solver="full").fit(features.astype(np.float64))
    projection = fit_projection(features, 6)
    np.testing.assert_allclose(projection.mean, oracle.mean_, atol=1e-5)
    signs = np.sign((projection.axes * oracle.components_).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(projection.axes, signs * oracle.components_, atol=1e-4)
    expected = oracle.transform(features.astype(np.float64)) * signs[:, 0]
    np.testing.assert_allclose(projection.apply(features), expected, atol=1e-3)


def test_axes_keep_their_variances_and_the_mean_goes(features):
    projected = fit_projection(features).apply(features)
    assert projected.shape == (300, 20)
    assert projected.dtype == np.float32
    np.testing.assert_allclose(projected.mean(axis=0), 0, atol=1e-4)
    variances = projected.var(axis=0)
    assert (np.diff(variances) < 0).all()
    assert variances[0] > 100 * variances[-1]
    assert variances.sum() == pytest.approx(features.var(axis=0).sum(), rel=1e-4)


def test_signs_do_not_depend_on_the_order_of_the_sample(features):
    one, other = fit_projection(features, 8), fit_projection(features[::-1].copy(), 8)
    np.testing.assert_allclose(one.axes, other.axes, atol=1e-5)
    assert (one.axes[np.arange(8), np.abs(one.axes).argmax(axis=1)] > 0).all()


def test_axes_are_no_more_than_the_sample_varies_along(features):
    assert len(fit_projection(features[:32].repeat(2, axis=0)).axes) == 20
    few = np.concatenate([features[:40], np.zeros((40, 60), np.float32)], axis=1)
    assert len(fit_projection(few).axes) == 20
    wide = np.random.default_rng(4).normal(size=(40, 500)).astype(np.float32)
    assert len(fit_projection(wide).axes) == 39
    flat = np.ones((40, 20), np.float32)
    flat[:20, 3] = 2
    assert len(fit_projection(flat).axes) == 1


def test_samples_that_say_nothing_are_refused(features):
    with pytest.raises(EncoderError, match="at least 32 windows, but there are 31"):
        fit_projection(features[:31])
    with pytest.raises(EncoderError, match="all alike"):
        fit_projection(np.repeat(features[:1], 50, axis=0))


def test_file_gives_the_same_projection_and_the_same_bytes(features, tmp_path):
    projection = fit_projection(features, 5)
    projection.save(tmp_path / "a.npz")
    projection.save(tmp_path / "b.npz")
    loaded = Projection.load(tmp_path / "a.npz", "resnet50")
    np.testing.assert_array_equal(loaded.mean, projection.mean)
    np.testing.assert_array_equal(loaded.axes, projection.axes)
    digests = {hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() for name in ("a.npz", "b.npz")}
    assert len(digests) == 1


@pytest.mark.parametrize("arrays", [
    {},
    {"mean": np.zeros(3, np.float32)},
    {"mean": np.zeros(3, np.float32), "axes": np.eye(4, dtype=np.float32)},
    {"mean": np.zeros(3, np.float32), "axes": np.zeros((0, 3), np.float32)},
    {"mean": np.zeros(3), "axes": np.eye(3)},
    {"mean": np.full(3, np.nan, np.float32), "axes": np.eye(3, dtype=np.float32)},
], ids=["empty", "no axes", "other width", "no rows", "float64", "not a number"])
def test_arrays_that_are_no_projection_are_named(tmp_path, arrays):
    np.savez(tmp_path / "p.npz", **arrays)
    with pytest.raises(EncoderError, match=r"p\.npz: is not a projection for resnet50"):
        Projection.load(tmp_path / "p.npz", "resnet50")


def test_pickles_are_not_opened(tmp_path):
    (tmp_path / "p.npz").write_bytes(pickle.dumps({"mean": 1}))
    with pytest.raises(EncoderError, match=r"p\.npz"):
        Projection.load(tmp_path / "p.npz", "resnet50")
    np.savez(tmp_path / "q.npz", mean=np.array([{}], object), axes=np.eye(1, dtype=np.float32))
    with pytest.raises(EncoderError, match=r"q\.npz"):
        Projection.load(tmp_path / "q.npz", "resnet50")


def test_encoders_without_projection_take_none(tmp_path):
    assert [name for name in ("power-spectrum", "resnet50", "beta-vae") if needs_projection(name)] == ["resnet50"]
    with pytest.raises(ConfigError, match="power-spectrum takes no projection"):
        load_encoder("power-spectrum", projection=tmp_path / "p.npz")
    with pytest.raises(ConfigError, match="power-spectrum takes no projection"):
        fit("power-spectrum", np.zeros((40, 16, 256), np.uint8))


def test_encoders_without_reduced_precision_take_float32():
    assert load_encoder("power-spectrum", precision="auto") is load_encoder("power-spectrum")
    message = ("power-spectrum computes in float32 only, not in bfloat16; other precisions are supported by resnet50 "
               "and spectral")
    with pytest.raises(ConfigError, match=message):
        load_encoder("power-spectrum", precision="bfloat16")
